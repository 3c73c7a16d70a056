import type { Query, Value } from './sql.ts';

/** What a query gives. */
export interface QueryAnswer {
  readonly rows: readonly unknown[];
  readonly rowCount?: number | null;
}

/** Anything that runs one query of the runner's own. */
export interface Queryable {
  query(query: Query): Promise<QueryAnswer>;
}

/** A query out of text and values, for statements that are not ours to write. */
export function rawQuery(text: string, values: readonly Value[] = []): Query {
  return { sql: text, values };
}

/** Gives the value in its shape, or throws. A zod schema is one. */
export interface Reader<T> {
  readonly parse: (value: unknown) => T;
}

/** Takes the shape for granted that a query of ours gives to its document. */
export function trusted<T>(): Reader<T> {
  return { parse: (value) => value as T };
}

/**
 * Runs a query that returns one row with one column `document` of JSON text, and parses it. Read like this, it is the same
 * whatever field names, interceptors and type parsers the connection is set to. SQL's null is JSON's.
 */
export async function readDocument<T>(connection: Queryable, query: Query, reader: Reader<T>): Promise<T> {
  return parseDocument((await connection.query(query)).rows, reader);
}

/** Parses the one row of such a query. */
export function parseDocument<T>(rows: readonly unknown[] | undefined, reader: Reader<T>): T {
  const row = rows?.[0];
  if (typeof row !== 'object' || row === null) throw new Error('the server gave no document');
  const fields: Readonly<Record<string, unknown>> = { ...row };
  const document = 'document' in fields ? fields['document'] : Object.values(fields)[0]; // interceptors add and rename columns
  return reader.parse(typeof document === 'string' ? JSON.parse(document) : null);
}
