import { renderStatements, timestampOf } from '../alteration.ts';
import { type CommandLine, type Contestant, fileOfPackage, type Place, runNode } from './contestant.ts';
import { quoteTemplate, writeEach } from './write-each.ts';

const program = fileOfPackage('node-pg-migrate/bin/node-pg-migrate.js');

export const nodePgMigrate: Contestant = {
  name: 'node-pg-migrate',
  kind: 'peer',
  package: 'node-pg-migrate',
  note: '`node-pg-migrate up --advisory-lock-mode wait`; a `.js` module each, `pgm.sql`',
  transactions: 'whole deploy',
  lock: 'waits',
  history: 'public.pgmigrations',
  write: (folder, alterations) =>
    writeEach(folder, alterations, (alteration) => ({
      name: `${timestampOf(alteration)}000_${alteration.name}.js`,
      text: `export const shorthands = undefined;

// ${alteration.comment}
export const up = (pgm) => {
  pgm.sql(${quoteTemplate(renderStatements(alteration.statements))});
};

export const down = false;
`,
    })),
  actions: { version: () => runNode([program, '--version']), deploy: up, 'no-op': up },
};

function up({ folder, url }: Place): CommandLine {
  const args = [program, 'up', '--migrations-dir', folder, '--advisory-lock-mode', 'wait'];
  return runNode(args, { cwd: folder, env: { DATABASE_URL: url } });
}
