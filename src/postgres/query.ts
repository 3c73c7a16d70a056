import { type PrimitiveValueExpression, type QuerySqlToken, sql } from 'slonik';
import { z } from 'zod';

/** Anything that runs one query: a slonik pool, connection or transaction. */
export interface Queryable {
  query(
    token: QuerySqlToken,
  ): Promise<{ readonly rows: readonly unknown[]; readonly rowCount?: number | null }>;
}

/** What makes something of a document, or throws. */
export interface Reader<T> {
  readonly parse: (value: unknown) => T;
}

/** A slonik query out of text and values, for statements that are not ours to write. */
export function rawQuery(text: string, values: readonly PrimitiveValueExpression[] = []): QuerySqlToken {
  return { ...sql.unsafe`select`, sql: text, values };
}

/**
 * Runs a query that returns one row with one column `document` of JSON text, and parses it. Read like this, it is the same
 * whatever field names, interceptors and type parsers the connection is set to. SQL's null is JSON's.
 */
export async function readDocument<T>(
  connection: Queryable,
  query: QuerySqlToken,
  reader: Reader<T>,
): Promise<T> {
  return parseDocument((await connection.query(query)).rows, reader);
}

/** Parses the one row of such a query. */
export function parseDocument<T>(rows: readonly unknown[] | undefined, reader: Reader<T>): T {
  const row = z.record(z.string(), z.unknown()).parse(rows?.[0]);
  const document = 'document' in row ? row['document'] : Object.values(row)[0]; // interceptors add and rename columns
  return reader.parse(typeof document === 'string' ? JSON.parse(document) : null);
}
