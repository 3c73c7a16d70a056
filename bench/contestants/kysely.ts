import { join } from 'node:path';
import { sortableName } from '../alteration.ts';
import { actionsOfScript, type Contestant } from './contestant.ts';
import { quoteTemplate, writeEach } from './write-each.ts';

export const kysely: Contestant = {
  name: 'kysely',
  kind: 'peer',
  package: 'kysely',
  note: "its documentation's script with `Migrator` and `FileMigrationProvider`; a module each, a query for each statement",
  transactions: 'whole deploy',
  lock: 'waits',
  history: 'public.kysely_migration',
  bookkeeping: ['public.kysely_migration_lock'],
  write: (folder, alterations) =>
    writeEach(join(folder, 'migrations'), alterations, (alteration) => ({
      name: `${sortableName(alteration)}.mjs`,
      text: `import { sql } from 'kysely';

// ${alteration.comment}
export async function up(db) {
${alteration.statements.map((statement) => `  await sql${quoteTemplate(statement)}.execute(db);\n`).join('')}}
`,
    })),
  actions: actionsOfScript('kysely', ['version', 'deploy', 'no-op', 'list']),
};
