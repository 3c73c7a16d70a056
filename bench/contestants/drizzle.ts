import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sortableName, timestampOf } from '../alteration.ts';
import { actionsOfScript, type Contestant } from './contestant.ts';
import { writeEach } from './write-each.ts';

export const drizzle: Contestant = {
  name: 'drizzle',
  kind: 'peer',
  package: 'drizzle-orm',
  note: '`migrate` of `drizzle-orm/node-postgres/migrator` in a script; a `.sql` file each with breakpoints, and the journal',
  transactions: 'whole deploy',
  lock: 'none',
  history: 'drizzle.__drizzle_migrations',
  async write(folder, alterations) {
    const migrations = join(folder, 'migrations');
    await writeEach(migrations, alterations, (alteration) => ({
      name: `${sortableName(alteration, '_')}.sql`,
      text: `-- ${alteration.comment}\n${alteration.statements.map((statement) => `${statement};`).join('--> statement-breakpoint\n')}\n`,
    }));
    const entries = alterations.map((alteration, index) => ({
      idx: index,
      version: '7',
      when: timestampOf(alteration) * 1_000,
      tag: sortableName(alteration, '_'),
      breakpoints: true,
    }));
    await mkdir(join(migrations, 'meta'), { recursive: true });
    const journal = { version: '7', dialect: 'postgresql', entries };
    await writeFile(join(migrations, 'meta/_journal.json'), JSON.stringify(journal, undefined, 2));
  },
  actions: actionsOfScript('drizzle', ['version', 'deploy', 'no-op']),
};
