import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { createPool } from 'slonik';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Blocker } from '../../src/core/errors.ts';
import { readBlockers } from '../../src/postgres/blockers.ts';
import { withEmbeddedServer } from '../../src/postgres/embedded-server.ts';
import { queryableOf } from '../../src/postgres/slonik.ts';
import { createRole } from '../support/create-role.ts';
import { createDatabase, runSql } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { waitUntil } from '../support/wait-until.ts';

const database = await createDatabase();
const owner = new URL(database.url).username;

beforeEach(async () => {
  await emptyDatabase(database);
  await database.query(`
    create table accounts (id int primary key, amount int);
    insert into accounts values (1, 10)`);
});

// A session whose client has gone goes on waiting, and then does what it was to do.
afterEach(() =>
  database.query(`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid()`),
);

interface Other {
  readonly client: pg.Client;
  readonly pid: number;
}

/** Another session. */
async function startOther(name = '', url = database.url): Promise<Other> {
  const client = new pg.Client({ connectionString: url, application_name: name });
  client.on('error', () => undefined); // it is ended while it waits
  await client.connect();
  onTestFinished(() => client.end());
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return { client, pid: rows[0]?.pid ?? 0 };
}

/** A session that the statement has got into waiting for this kind of lock. */
async function startWaiting(statement: string, locktype: string, url = database.url): Promise<Other> {
  const other = await startOther('waiting', url);
  await wait(other, statement, locktype, url);
  return other;
}

async function wait({ client, pid }: Other, statement: string, locktype: string, url = database.url) {
  client.query(statement).catch(() => undefined);
  await waitUntil(`it waits for a lock: ${statement}`, async () => {
    const waiting = `
      select from pg_stat_activity where pid = $1 and wait_event_type = 'Lock' and wait_event = $2`;
    return (await runSql(url, waiting, [pid, locktype])).length > 0;
  });
}

async function blockersOf({ pid }: Other, url = database.url): Promise<readonly Blocker[]> {
  const pool = await createPool(url);
  try {
    return await readBlockers(queryableOf(pool), pid);
  } finally {
    await pool.end();
  }
}

test('nobody blocks a session that does not wait for a lock, whoever else holds one', async () => {
  const holder = await startOther();
  await holder.client.query('begin; lock table accounts');
  const idle = await startOther();

  expect(await blockersOf(idle)).toEqual([]);
  expect(await blockersOf(holder)).toEqual([]);
  expect(await blockersOf({ ...idle, pid: 2_147_483_647 })).toEqual([]);
});

test('a transaction that has read the table blocks its change, and all of it is told', async () => {
  await database.query('create schema "my app"; create table "my app"."Order" (id int)');
  const reader = await startOther('a report');
  await reader.client.query('begin');
  await reader.client.query(`
    select count(*)
    from "my app"."Order" -- ${'🐘'.repeat(80)}`);
  const waiting = await startWaiting('alter table "my app"."Order" add column name text', 'relation');

  const blockers = await blockersOf(waiting);

  expect(blockers).toEqual([
    {
      pid: reader.pid,
      applicationName: 'a report',
      role: owner,
      state: 'idle in transaction',
      transactionAgeMs: expect.any(Number),
      lockMode: 'AccessShareLock',
      relation: '"my app"."Order"',
      query: `select count(*) from "my app"."Order" -- ${'🐘'.repeat(38)}…`,
    },
  ]);
  expect([...(blockers[0]?.query ?? '')]).toHaveLength(80);
  expect(blockers[0]?.transactionAgeMs).toBeGreaterThan(0);
});

test('what waits ahead of a session blocks it too, and those who hold the lock come first, the oldest ahead', async () => {
  const change = await startOther('waiting');
  await change.client.query('begin');
  const first = await startOther();
  await first.client.query('begin; select from accounts');
  const second = await startOther();
  await second.client.query('begin; select from accounts; lock table accounts in row exclusive mode');
  await wait(change, 'alter table accounts add column name text', 'relation');
  const next = await startWaiting('begin; lock table accounts in exclusive mode', 'relation');

  const known = { role: owner, transactionAgeMs: expect.any(Number), relation: 'public.accounts' };
  expect(await blockersOf(change)).toMatchObject([
    { pid: first.pid, lockMode: 'AccessShareLock' },
    { pid: second.pid, lockMode: 'RowExclusiveLock' },
  ]);
  expect(await blockersOf(next)).toEqual([
    {
      ...known,
      pid: second.pid,
      state: 'idle in transaction',
      lockMode: 'RowExclusiveLock',
      query: 'begin; select from accounts; lock table accounts in row exclusive mode',
    },
    {
      ...known,
      pid: change.pid,
      applicationName: 'waiting',
      state: 'active',
      lockMode: 'AccessExclusiveLock',
      query: 'alter table accounts add column name text',
    },
  ]);
});

test('of several locks that a session holds, one that is in the way is told', async () => {
  const holder = await startOther();
  await holder.client.query(`
    begin;
    lock table accounts in share update exclusive mode;
    lock table accounts in share mode`);
  const waiting = await startWaiting('create index on accounts (amount)', 'relation');

  expect(await blockersOf(waiting)).toMatchObject([
    { pid: holder.pid, lockMode: 'ShareUpdateExclusiveLock', relation: 'public.accounts' },
  ]);
});

test('who has changed a row, or waits to change it, is told with the table', async () => {
  const holder = await startOther();
  await holder.client.query('begin; update accounts set amount = 20');
  const second = await startWaiting('update accounts set amount = 30', 'transactionid');
  const third = await startWaiting('update accounts set amount = 40', 'tuple');

  const lock = { lockMode: 'RowExclusiveLock', relation: 'public.accounts' };
  expect(await blockersOf(second)).toMatchObject([{ pid: holder.pid, ...lock }]);
  expect(await blockersOf(third)).toMatchObject([{ pid: second.pid, ...lock }]);
});

test('where PostgreSQL does not name a table, none is told', async () => {
  const holder = await startOther();
  await holder.client.query('begin; insert into accounts values (2, 20)');
  const waiting = await startWaiting('insert into accounts values (2, 30)', 'transactionid');

  expect(await blockersOf(waiting)).toEqual([
    {
      pid: holder.pid,
      role: owner,
      state: 'idle in transaction',
      transactionAgeMs: expect.any(Number),
      query: 'begin; insert into accounts values (2, 20)',
    },
  ]);
});

describe('work on an index that is done concurrently is blocked', () => {
  const build = 'create index concurrently on accounts (amount)';

  test.each([build, 'reindex table concurrently accounts', 'drop index concurrently spare'])(
    'by who has written to its table: %s',
    async (statement) => {
      await database.query('create index spare on accounts (amount)');
      const writer = await startOther();
      await writer.client.query('begin; update accounts set amount = 20');
      const waiting = await startWaiting(statement, 'virtualxid');

      expect(await blockersOf(waiting)).toMatchObject([
        { pid: writer.pid, lockMode: 'RowExclusiveLock', relation: 'public.accounts' },
      ]);
    },
  );

  test('by an old snapshot of a session that has not come near its table', async () => {
    await database.query('create table elsewhere ()');
    const reader = await startOther();
    await reader.client.query('begin isolation level repeatable read; select from elsewhere');
    const waiting = await startWaiting(build, 'virtualxid');

    const [blocker, ...others] = await blockersOf(waiting);

    expect(others).toEqual([]);
    expect(blocker).toMatchObject({ pid: reader.pid, state: 'idle in transaction' });
    expect(blocker).not.toHaveProperty('lockMode');
    expect(blocker).not.toHaveProperty('relation');
  });
});

test('an advisory lock is told without a table', async () => {
  const holder = await startOther();
  await holder.client.query('select pg_advisory_lock_shared(42), pg_advisory_lock(43)');
  const waiting = await startWaiting('select pg_advisory_lock(42)', 'advisory');

  expect(await blockersOf(waiting)).toEqual([
    {
      pid: holder.pid,
      role: owner,
      state: 'idle',
      lockMode: 'ShareLock',
      query: 'select pg_advisory_lock_shared(42), pg_advisory_lock(43)',
    },
  ]);
});

test('of other roles’ sessions a role learns no more than PostgreSQL shows it', async () => {
  const { url } = await createRole(database, (role) => `grant all on schema public to ${role}`);
  await runSql(url, 'create table small (id int)');
  const holder = await startOther('nightly');
  await holder.client.query('begin; select from small');
  const waiting = await startWaiting('drop table small', 'relation', url);

  expect(await blockersOf(waiting, url)).toEqual([
    {
      pid: holder.pid,
      applicationName: 'nightly',
      role: owner,
      lockMode: 'AccessShareLock',
      relation: 'public.small',
    },
  ]);
});

test('a role learns who blocks another role’s session', async () => {
  const { url } = await createRole(database, () => 'select');
  const holder = await startOther();
  await holder.client.query('begin; select from accounts');
  const waiting = await startWaiting('drop table accounts', 'relation');

  expect(await blockersOf(waiting, url)).toMatchObject([{ pid: holder.pid, relation: 'public.accounts' }]);
});

test('a session with parallel workers is told once', async () => {
  const holder = await startOther();
  await holder.client.query(`
    select set_config(name, 'on', false) from pg_settings
    where name in ('debug_parallel_query', 'force_parallel_mode')`);
  holder.client.query('select from accounts where pg_sleep(600) is null').catch(() => undefined);
  await waitUntil('a worker sleeps', async () => {
    const rows = await database.query(
      `select from pg_stat_activity where leader_pid = $1 and wait_event = 'PgSleep'`,
      [holder.pid],
    );
    return rows.length > 0;
  });
  const waiting = await startWaiting('drop table accounts', 'relation');

  expect(await database.query('select pg_blocking_pids($1) as pids', [waiting.pid])).toEqual([
    { pids: [holder.pid, holder.pid] },
  ]);
  expect(await blockersOf(waiting)).toMatchObject([{ pid: holder.pid }]);
});

test('a prepared transaction, which has no session, is told by its name if it is in the way', async () => {
  await withPreparedTransactions(async (url) => {
    await runSql(
      url,
      'create table accounts as select 1 as id; create unique index on accounts (id); create table orders as select 1 as id',
    );
    await runSql(url, `begin; select from accounts, orders; prepare transaction 'harmless'`);
    await runSql(
      url,
      `begin; update accounts set id = 2; update orders set id = 2; prepare transaction 'it''s me'`,
    );
    const update = await startWaiting('update accounts set id = 3', 'transactionid', url);
    const insert = await startWaiting('insert into accounts values (2)', 'transactionid', url);
    const build = await startWaiting('create index on orders (id)', 'relation', url);

    const told = {
      pid: 0,
      role: 'postgres',
      state: `prepared transaction 'it''s me'`,
      transactionAgeMs: expect.any(Number),
    };
    const lockMode = 'RowExclusiveLock';
    expect(await blockersOf(update, url)).toEqual([{ ...told, lockMode, relation: 'public.accounts' }]);
    expect(await blockersOf(insert, url)).toEqual([told]);
    expect(await blockersOf(build, url)).toEqual([{ ...told, lockMode, relation: 'public.orders' }]);
  });
});

/** Calls `work` with a server of its own, where transactions can be prepared. */
async function withPreparedTransactions(work: (url: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'alteration-prepared-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await withEmbeddedServer(folder, ({ connectionString }) =>
    runSql(connectionString, 'alter system set max_prepared_transactions = 5'),
  );
  await withEmbeddedServer(folder, ({ connectionString }) => work(connectionString));
}
