/** Kinds of alteration that can be created. */
export type TemplateKind = 'module' | 'sql' | 'sql-pair';

/** The files of a new alteration, by the ending that follows `<version>-<timestamp>-<name>`. */
export function renderTemplate(
  kind: TemplateKind,
  name: string,
): readonly { ending: string; text: string }[] {
  if (kind === 'module') return [{ ending: '.ts', text: moduleTemplate(name) }];
  if (kind === 'sql') return [{ ending: '.sql', text: sqlTemplate(name, irreversible) }];
  return [
    { ending: '.up.sql', text: sqlTemplate(name, '') },
    {
      ending: '.down.sql',
      text: sqlTemplate(`take back: ${name}`, '-- Restores exactly what was there before the .up.sql.\n'),
    },
  ];
}

const irreversible =
  '-- A single .sql file has no way back; "alteration create --sql-pair" makes one that has.\n';

function sqlTemplate(name: string, note: string): string {
  return `-- ${name.replaceAll('-', ' ')}
--
-- Runs in one transaction with its history row: all of it, or nothing. For statements that cannot (create index
-- concurrently, vacuum), make the first line of this file
--   -- alteration: no-transaction
-- and let every statement stand being run again.
${note}
`;
}

function moduleTemplate(name: string): string {
  return `import type { AlterationScript } from 'postgres-alteration';
import { sql } from 'slonik';

// ${name.replaceAll('-', ' ')}
const alteration: AlterationScript = {
  // In one transaction with the history row. Work that cannot be in a transaction (create index concurrently)
  // goes into beforeUp, which must stand being run again.
  up: async (transaction) => {
    await transaction.query(sql.unsafe\`
      select 1
    \`);
  },
  // Restores exactly what was there before; leave it out when there is no way back.
  down: async (transaction) => {
    await transaction.query(sql.unsafe\`
      select 1
    \`);
  },
};

export default alteration;
`;
}
