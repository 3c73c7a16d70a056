import { type PrimitiveValueExpression, type QuerySqlToken, sql } from 'slonik';
import { type ZodType, z } from 'zod';

/** Anything that runs one query: a slonik pool, connection or transaction. */
export interface Queryable {
  query(
    token: QuerySqlToken,
  ): Promise<{ readonly rows: readonly unknown[]; readonly rowCount?: number | null }>;
}

/** A slonik query out of text and values, for statements that are not ours to write. */
export function rawQuery(text: string, values: readonly PrimitiveValueExpression[] = []): QuerySqlToken {
  return { ...sql.unsafe`select`, sql: text, values };
}

/**
 * Runs a query that returns one row with one JSON column named `document`, and parses it.
 * As JSON text it is the same whatever field names, interceptors and type parsers the connection is set to.
 */
export async function readDocument<T>(
  connection: Queryable,
  query: QuerySqlToken,
  schema: ZodType<T>,
): Promise<T> {
  const { rows } = await connection.query(query);
  const { document } = documentRow.parse(rows[0]);
  return schema.parse(JSON.parse(document));
}

const documentRow = z.object({ document: z.string() });
