import { sql } from 'slonik';
import type { Queryable } from './query.ts';

/**
 * Removes what a `create index concurrently` that did not come to its end leaves behind: an invalid index, which
 * `if not exists` would take for a finished one. Call it outside a transaction.
 */
export async function dropInvalidIndex(connection: Queryable, name: readonly string[]): Promise<void> {
  const quoted = name.map((part) => `"${part.replaceAll('"', '""')}"`).join('.');
  const { rows } = await connection.query(sql.unsafe`
    select from pg_catalog.pg_index where indexrelid = pg_catalog.to_regclass(${quoted}) and not indisvalid`);
  if (rows.length === 0) return;
  await connection.query(sql.unsafe`drop index concurrently if exists ${sql.identifier([...name])}`);
}
