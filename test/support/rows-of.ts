import type { TestDatabase } from './database.ts';

/** The rows of every table in `public` but the runner's own, as sorted text; columns are told by name. */
export async function rowsOf({ query }: TestDatabase): Promise<readonly string[]> {
  const tables = await query<{ name: string }>(`
    select quote_ident(tablename) as name from pg_tables
    where schemaname = 'public' and tablename <> 'alteration_history'
  `);
  const parts = tables.map(
    ({ name }) => `select format('%s %s', '${name}', to_jsonb(t)) as line from public.${name} as t`,
  );
  const rows = await query<{ line: string }>(parts.join(' union all '));
  return rows.map(({ line }) => line).sort();
}
