import { type DatabasePoolConnection, type FragmentSqlToken, sql } from 'slonik';

interface Index {
  readonly name: string;
  readonly kind: 'plain' | 'unique';
  /** Table and columns, as they follow `on`. */
  readonly on: FragmentSqlToken;
}

/**
 * Builds an index while others read and write the table. It belongs into `beforeUp`, because PostgreSQL refuses
 * `concurrently` inside a transaction; run again it does nothing, or does over what failed.
 */
export async function createIndexConcurrently(
  connection: DatabasePoolConnection,
  { name, kind, on }: Index,
): Promise<void> {
  // A build that fails leaves an invalid index, which `if not exists` would take for a finished one.
  if (await isInvalid(connection, name)) await dropIndexConcurrently(connection, name);

  const index = kind === 'unique' ? sql.fragment`unique index` : sql.fragment`index`;
  await connection.query(sql.unsafe`
    create ${index} concurrently if not exists ${sql.identifier([name])} on ${on}
  `);
}

/** The counterpart, for `beforeDown`. */
export async function dropIndexConcurrently(connection: DatabasePoolConnection, name: string): Promise<void> {
  await connection.query(sql.unsafe`drop index concurrently if exists ${sql.identifier([name])}`);
}

async function isInvalid(connection: DatabasePoolConnection, name: string): Promise<boolean> {
  return connection.exists(sql.unsafe`
    select from pg_index where indexrelid = to_regclass(quote_ident(${name})) and not indisvalid
  `);
}
