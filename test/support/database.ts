import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { inject } from 'vitest';
import { whenOver } from './when-over.ts';

/** A database of a test file's own. */
export interface TestDatabase {
  readonly url: string;
  readonly name: string;
  /** Runs SQL on a connection of its own. */
  readonly query: <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => Promise<Row[]>;
}

/** Creates a database on the tests' server; it goes with the test, or with the file when it is made outside of one. */
export async function createDatabase(): Promise<TestDatabase> {
  const serverUrl = inject('serverUrl');
  const name = `test_${randomBytes(8).toString('hex')}`;
  await runSql(serverUrl, `create database ${name}`);
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  whenOver(() => runSql(serverUrl, `drop database if exists ${name} with (force)`));
  return { url: url.href, name, query: (text, values) => runSql(url.href, text, values) };
}

export async function runSql<Row extends pg.QueryResultRow>(
  url: string,
  text: string,
  values?: unknown[],
): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<Row>(text, values);
    return rows;
  } finally {
    await client.end();
  }
}
