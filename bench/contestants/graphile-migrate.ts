import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Alteration, renderSql } from '../alteration.ts';
import { type CommandLine, type Contestant, fileOfPackage, type Place, runNode } from './contestant.ts';
import { writeEach } from './write-each.ts';

const program = fileOfPackage('graphile-migrate/dist/cli.js');

export const graphileMigrate: Contestant = {
  name: 'graphile-migrate',
  kind: 'peer',
  package: 'graphile-migrate',
  note: '`graphile-migrate migrate`; a committed `.sql` file each',
  transactions: 'each alteration',
  lock: 'refuses',
  history: 'graphile_migrate.migrations',
  bookkeeping: ['graphile_migrate.current'],
  async write(folder, alterations) {
    let previous: string | undefined;
    await writeEach(join(folder, 'migrations/committed'), alterations, (alteration) => {
      const { hash, text } = renderCommitted(alteration, previous);
      previous = hash;
      return { name: `${String(alteration.number).padStart(6, '0')}-${alteration.name}.sql`, text };
    });
    await writeFile(join(folder, 'migrations/current.sql'), '-- Enter migration here\n');
    await writeFile(join(folder, '.gmrc'), '{}\n');
  },
  actions: {
    version: () => runNode([program, '--version']),
    deploy: (place) => run('migrate', place),
    'no-op': (place) => run('migrate', place),
    list: (place) => run('status', place),
  },
};

/** As `graphile-migrate commit` writes it: each file is bound to the one before. */
function renderCommitted(alteration: Alteration, previous: string | undefined) {
  const body = `${renderSql(alteration).trim()}\n`;
  const digest = createHash('sha1').update(previous === undefined ? body : `${previous}\n${body}`);
  const hash = `sha1:${digest.digest('hex')}`;
  return {
    hash,
    text: `--! Previous: ${previous ?? '-'}\n--! Hash: ${hash}\n--! Message: ${alteration.name}\n\n${body}`,
  };
}

function run(command: string, { folder, url }: Place): CommandLine {
  // It asks for the other two also where it does not use them.
  const env = { DATABASE_URL: url, SHADOW_DATABASE_URL: `${url}_shadow`, ROOT_DATABASE_URL: `${url}_root` };
  return runNode([program, command], { cwd: folder, env });
}
