import pg from 'pg';
import { readCatalog } from './catalog.ts';
import type { TestDatabase } from './database.ts';

/**
 * The schema of a database, as `readCatalog` tells it, without the runner's own table. What carries the database's
 * name, as roles do, reads the same in every database: two can be compared.
 */
export async function schemaOf(
  { url, name }: TestDatabase,
  excluded: readonly string[] = [],
): Promise<readonly string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const lines = await readCatalog(client, ['public.alteration_history', ...excluded]);
    return lines.map((line) => line.replaceAll(name, '<database>')).sort();
  } finally {
    await client.end();
  }
}

/** The same lines for schemas whose functions differ in nothing but white space. */
export function withoutLayout(lines: readonly string[]): readonly string[] {
  return lines.map((line) => line.replaceAll(/\s+/g, ' ').trim()).sort();
}
