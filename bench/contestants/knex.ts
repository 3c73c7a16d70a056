import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digitsOf, renderStatements } from '../alteration.ts';
import { type CommandLine, type Contestant, fileOfPackage, type Place, runNode } from './contestant.ts';
import { quoteTemplate, writeEach } from './write-each.ts';

const program = fileOfPackage('knex/bin/cli.js');

export const knex: Contestant = {
  name: 'knex',
  kind: 'peer',
  package: 'knex',
  note: '`knex migrate:latest` with a `knexfile.cjs`; a CommonJS module each, `knex.raw`',
  transactions: 'each alteration',
  lock: 'refuses',
  history: 'public.knex_migrations',
  bookkeeping: ['public.knex_migrations_lock'],
  async write(folder, alterations) {
    await writeEach(join(folder, 'migrations'), alterations, (alteration) => ({
      name: `${digitsOf(alteration)}_${alteration.name.replaceAll('-', '_')}.js`,
      text: `// ${alteration.comment}
exports.up = function (knex) {
  return knex.raw(${quoteTemplate(renderStatements(alteration.statements))});
};

exports.down = function () {};
`,
    }));
    await writeFile(join(folder, 'knexfile.cjs'), knexfile);
    // What a product that has its migrations in CommonJS says.
    await writeFile(join(folder, 'package.json'), '{ "type": "commonjs" }\n');
  },
  actions: {
    version: () => runNode([program, '--version']),
    deploy: (place) => run('migrate:latest', place),
    'no-op': (place) => run('migrate:latest', place),
    list: (place) => run('migrate:list', place),
  },
};

const knexfile = `module.exports = {
  client: 'pg',
  connection: process.env.DATABASE_URL,
  migrations: { directory: './migrations' },
};
`;

function run(command: string, { folder, url }: Place): CommandLine {
  return runNode([program, command, '--knexfile', join(folder, 'knexfile.cjs')], {
    cwd: folder,
    env: { DATABASE_URL: url },
  });
}
