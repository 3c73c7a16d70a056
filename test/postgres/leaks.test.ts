import type pg from 'pg';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { describeLeaks, type Leaks, leaksSql, releaseAdvisoryLocks } from '../../src/postgres/leaks.ts';
import { createLink } from '../../src/postgres/link.ts';
import type { Queryable } from '../../src/postgres/query.ts';
import { createRole } from '../support/create-role.ts';
import { createDatabase } from '../support/database.ts';

const database = await createDatabase();
/** The two halves of this key are those of the pair (-2147483648, 7). */
const lockKey = BigInt.asIntN(64, (0x80000000n << 32n) | 7n);

/** A session with a runner's connection and the client under it. */
interface Script {
  readonly client: pg.Client;
  readonly connection: Queryable;
  readonly notices: string[];
}

let script: Script;
beforeEach(async () => {
  script = await connect();
  await script.client.query('select pg_advisory_lock($1)', [lockKey]);
});

async function connect(connectionString = database.url): Promise<Script> {
  const link = createLink({ connectionString }, 0);
  onTestFinished(() => link.end());
  await link.connect();
  const { client } = link;
  const notices: string[] = [];
  client.on('notice', ({ message }) => notices.push(message ?? ''));
  return { client, connection: { query: ({ sql, values }) => link.query(sql, values) }, notices };
}

/** Finds the leaks as the first statement of a message of several. */
async function readLeaks(kept: Parameters<typeof leaksSql>[1] = [], { client } = script): Promise<Leaks> {
  const answers: unknown = await client.query(`${leaksSql(lockKey, kept)}; reset all`);
  const [first] = answers as pg.QueryResult<{ document: string }>[]; // an array, which the types do not tell
  return JSON.parse(first?.rows[0]?.document ?? 'null');
}

const nothing: Leaks = {
  settings: [],
  temporaryObjects: [],
  preparedStatements: [],
  cursors: [],
  channels: [],
  advisoryLocks: [],
};

/** The modes and keys of the advisory locks that the session holds. */
async function heldLocks(): Promise<string[]> {
  const { rows } = await script.client.query<{ held: string }>(`
    select format('%s %s %s %s', mode, classid::int8, objid::int8, objsubid) as held from pg_locks
    where locktype = 'advisory' and pid = pg_backend_pid() order by 1`);
  return rows.map(({ held }) => held);
}

const ownLock = 'ExclusiveLock 2147483648 7 1';

describe('what a script has left', () => {
  test('is nothing in a new session', async () => {
    expect(await readLeaks()).toEqual(nothing);
  });

  test.each<[string, readonly string[]]>([
    [`set search_path = ''`, ['setting search_path']],
    [
      `set statement_timeout = '7s'; set lock_timeout = 5`,
      ['setting lock_timeout', 'setting statement_timeout'],
    ],
    [`begin; set local lock_timeout = 5; commit`, []],
    [
      'create temporary table scratch (id serial primary key, list jsonb unique)',
      ['temporary table scratch'],
    ],
    ['create temporary table "a b" (id int) partition by range (id)', ['temporary table "a b"']],
    ['create temporary view scratch as select 1 as id', ['temporary view scratch']],
    ['create temporary sequence scratch', ['temporary sequence scratch']],
    [
      `create function pg_temp.scratch(int) returns int language sql as 'select 1'`,
      ['temporary function scratch(integer)'],
    ],
    [`create type pg_temp.mood as enum ('fine')`, ['temporary type mood']],
    ['create type pg_temp.pair as (a int, b int)', ['temporary type pair']],
    ['create type pg_temp.span as range (subtype = float8)', ['temporary type span']],
    ['create temporary table scratch (); drop table scratch', []],
    ['prepare p as select 1', ['prepared statement p']],
    ['begin; declare c cursor with hold for select 1; declare d cursor for select 1; commit', ['cursor c']],
    ['listen jobs', ['channel jobs']],
    ['select pg_advisory_lock(42)', ['advisory lock 42']],
    ['select pg_advisory_lock(-42)', ['advisory lock -42']],
    ['select pg_advisory_lock_shared(42)', ['shared advisory lock 42']],
    ['select pg_advisory_lock(1, -2)', ['advisory lock (1, -2)']],
    ['select pg_advisory_lock(-2147483648, 7)', ['advisory lock (-2147483648, 7)']],
    ['begin; select pg_advisory_xact_lock(42); commit', []],
  ])('is told after: %s', async (text, told) => {
    await script.client.query(text);

    expect(describeLeaks(await readLeaks())).toEqual(told);
  });

  test('is told of a role and of a session authorization', async () => {
    const { role } = await createRole(database, () => 'select');
    const { role: other } = await createRole(database, (name) => `grant ${role} to ${name}`);
    await script.client.query(`set session authorization ${other}; set role ${role}`);

    const leaks = await readLeaks();

    expect(describeLeaks(leaks)).toEqual([`role ${role}`, `session authorization ${other}`]);
    await script.client.query('reset session authorization');
  });

  test('is told to a role without privileges, and whatever it has named like PostgreSQL’s own', async () => {
    const { url } = await createRole(database, () => 'select');
    const powerless = await connect(url);
    await powerless.client.query(`
      create temporary table text (); create temporary table pg_settings (); create temporary table bigint ();
      set standard_conforming_strings = off`);

    const leaks = await readLeaks([{ name: 'role', value: `o'\\brien` }], powerless);

    expect(describeLeaks(leaks)).toEqual([
      'setting standard_conforming_strings',
      'role none',
      'temporary table "bigint"',
      'temporary table pg_settings',
      'temporary table text',
    ]);
  });

  test('is not what is meant to be kept', async () => {
    const kept = [
      { name: 'application_name', value: `o'b\\rien` },
      { name: 'statement_timeout', value: '90s' },
      { name: 'role', value: 'pg_monitor' },
      { name: 'no_such_setting', value: '1' },
    ];
    await script.client.query(
      `set application_name = E'o''b\\\\rien'; set statement_timeout = 90000; set role pg_monitor`,
    );

    expect(await readLeaks(kept)).toEqual(nothing);
  });

  test('is what was meant to be kept and is not: changed or reset', async () => {
    const kept = [
      { name: 'lock_timeout', value: '3s' },
      { name: 'statement_timeout', value: '90s' },
      { name: 'role', value: 'pg_monitor' },
    ];
    await script.client.query(`set lock_timeout = '4s'`);

    const leaks = await readLeaks(kept);

    expect(leaks).toEqual({ ...nothing, settings: ['lock_timeout', 'statement_timeout'], role: 'none' });
  });
});

describe('advisory locks', () => {
  test.each([
    'select pg_advisory_lock(42)',
    'select pg_advisory_lock_shared(-42)',
    'select pg_advisory_lock(1, -2)',
    'select pg_advisory_lock_shared(-1, 2)',
    'select pg_advisory_lock(-2147483648, 7)',
    'select pg_advisory_lock(42), pg_advisory_lock_shared(42), pg_advisory_lock(42), pg_advisory_lock(0, 42)',
    'select pg_advisory_lock(n % 3) from generate_series(1, 20) as n',
  ])('are released without a warning, and the runner’s own is kept: %s', async (text) => {
    await script.client.query(text);

    await releaseAdvisoryLocks(script.connection, (await readLeaks()).advisoryLocks);

    expect(await heldLocks()).toEqual([ownLock]);
    expect(script.notices).toEqual([]);
  });

  test('that are not among the leaks are kept', async () => {
    await script.client.query('select pg_advisory_lock(42)');
    const leaks = await readLeaks();
    await script.client.query('select pg_advisory_lock(43), pg_advisory_lock_shared(42)');

    await releaseAdvisoryLocks(script.connection, leaks.advisoryLocks);

    expect(await heldLocks()).toEqual([ownLock, 'ExclusiveLock 0 43 1', 'ShareLock 0 42 1'].sort());
  });

  test('of a transaction are left to its end', async () => {
    await script.client.query('begin; select pg_advisory_xact_lock(42), pg_advisory_lock(43)');
    const leaks = await readLeaks();

    await releaseAdvisoryLocks(script.connection, leaks.advisoryLocks);

    expect(await heldLocks()).toEqual(['ExclusiveLock 0 42 1', ownLock]);
    await script.client.query('commit');
    expect(await heldLocks()).toEqual([ownLock]);
  });
});
