// slonik, loaded when a script is about to run or when the caller's pool has a driver of its own.

import { AsyncLocalStorage } from 'node:async_hooks';
import {
  createPool,
  createTypeParserPreset,
  type DatabasePool,
  type DatabasePoolConnection,
  type DatabaseTransactionConnection,
  type QuerySqlToken,
  sql as slonikSql,
} from 'slonik';
import { now } from '../now.ts';
import type { BatchedQuery } from './batch.ts';
import type { RowOptions } from './connect.ts';
import type { CommitOptions, Committed, Connection, Transaction } from './connection.ts';
import { createDriver } from './driver.ts';
import type { Link } from './link.ts';
import type { QueryAnswer, Queryable } from './query.ts';

// slonik's defaults are made for web requests: they end statements and transactions, and run them again.
const patience = {
  statementTimeout: 'DISABLE_TIMEOUT',
  idleInTransactionSessionTimeout: 'DISABLE_TIMEOUT',
  idleTimeout: 'DISABLE_TIMEOUT',
  maximumConnectionAge: 'DISABLE_TIMEOUT',
  connectionRetryLimit: 0,
  queryRetryLimit: 0,
  transactionRetryLimit: 0,
  maxPoolSize: 1,
  minPoolSize: 0,
  resetConnection: async () => undefined,
} as const;

/** slonik over a link that is connected. */
export interface AttachedSlonik {
  readonly connection: DatabasePoolConnection;
  readonly adopt: <T>(work: (transaction: DatabaseTransactionConnection) => Promise<T>) => Promise<T>;
  readonly end: () => Promise<void>;
}

/** Makes slonik use a link that is there. */
export async function attachSlonik(link: Link, rows: RowOptions = {}): Promise<AttachedSlonik> {
  let isAdopted = false;
  const pool = await createPool('postgres://', {
    driverFactory: createDriver(link, () => isAdopted),
    interceptors: [...(rows.interceptors ?? [])],
    typeParsers: [...(rows.typeParsers ?? createTypeParserPreset())],
    ...patience,
  });
  pool.on('error', () => undefined); // without a listener the process would die; the query under way tells
  const released = Promise.withResolvers<void>();
  const { connection, over } = await hold(pool, released.promise);
  return {
    connection,
    adopt: async (work) => {
      isAdopted = true;
      try {
        return await connection.transaction(work, 0);
      } finally {
        isAdopted = false;
      }
    },
    end: async () => {
      released.resolve();
      await over.catch(() => undefined); // a connection that was lost has been told of
      await pool.end();
    },
  };
}

async function hold(pool: DatabasePool, released: Promise<void>) {
  const held = Promise.withResolvers<DatabasePoolConnection>();
  const over = pool.connect(async (connection) => {
    held.resolve(connection);
    await released;
  });
  over.catch(held.reject);
  return { connection: await held.promise, over };
}

/** The caller's pool, whose own driver connects, with the patience that alterations need. */
export async function createOwnPool({ configuration }: DatabasePool): Promise<DatabasePool> {
  const pool = await createPool(configuration.connectionUri, { ...configuration, ...patience });
  pool.on('error', () => undefined);
  return pool;
}

/** The runner's queries over anything of slonik's. */
export function queryableOf(slonik: {
  readonly query: (token: QuerySqlToken) => Promise<QueryAnswer>;
}): Queryable {
  return { query: ({ sql, values }) => slonik.query({ ...slonikSql.unsafe`select`, sql, values }) };
}

/**
 * A connection over one of slonik's: each query is a round trip of its own. Its queries are not refused for a transaction
 * of another connection, in which slonik believes all that is called from there.
 */
export function connectionOf(slonik: DatabasePoolConnection): Connection {
  const elsewhere = AsyncLocalStorage.snapshot();
  const { query } = queryableOf(slonik);
  const queryable: Queryable = { query: (own) => elsewhere(() => query(own)) };
  return {
    ...queryable,
    batch: (queries) => sendOneByOne(queryable, queries),
    transaction: (work, options = {}) => runTransaction(slonik, work, options),
    scripts: async () => slonik,
  };
}

async function sendOneByOne(
  queryable: Queryable,
  queries: readonly BatchedQuery[],
): Promise<readonly QueryAnswer[]> {
  const answers: QueryAnswer[] = [];
  for (const query of queries) {
    query.onStart?.();
    answers.push(await queryable.query(query));
  }
  return answers;
}

async function runTransaction<T>(
  slonik: DatabasePoolConnection,
  work: (transaction: Transaction) => Promise<T>,
  { onCommit, after = [] }: CommitOptions,
): Promise<Committed<T>> {
  const value = await slonik.transaction(async (inner) => {
    const queryable = queryableOf(inner);
    const waiting: BatchedQuery[] = [];
    const startedAt = now();
    const flush = () => sendOneByOne(queryable, waiting.splice(0));
    const done = await work({
      query: async (query) => {
        await flush();
        return queryable.query(query);
      },
      defer: (query) => {
        waiting.push(query);
      },
      startedAt: () => startedAt,
      scripts: async (script) => {
        await flush();
        return script(inner);
      },
    });
    await flush();
    onCommit?.();
    return done;
  }, 0);
  const answers = await sendOneByOne(queryableOf(slonik), after).catch(() => undefined);
  return { value, ...(answers ? { after: answers } : {}) };
}
