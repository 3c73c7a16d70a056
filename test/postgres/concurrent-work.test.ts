import pg from 'pg';
import { createPool } from 'slonik';
import { afterAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { ConcurrentWork } from '../../src/core/concurrent-work.ts';
import { StoppedError } from '../../src/core/errors.ts';
import { findConcurrentWork } from '../../src/folder/find-concurrent-work.ts';
import {
  hasConcurrentEffect,
  type PrepareOptions,
  prepareConcurrentWork,
  verifyConcurrentWork,
} from '../../src/postgres/concurrent-work.ts';
import { type Queryable, rawQuery } from '../../src/postgres/query.ts';
import { queryableOf } from '../../src/postgres/slonik.ts';
import { createRole } from '../support/create-role.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { waitUntil } from '../support/wait-until.ts';

const database = await createDatabase();
const { query, url } = database;
const pool = await createPool(url, { maxPoolSize: 1 });
afterAll(() => pool.end());
const runner = queryableOf(pool);

beforeEach(async () => {
  await emptyDatabase(database);
  await query(
    'create table t (id int, code text); insert into t select n, n from generate_series(1, 9) as n',
  );
});

const createIndex = 'create index concurrently i on t (id)';
const createIfAbsent = 'create index concurrently if not exists i on t (id)';
const createUnique = 'create unique index concurrently if not exists i on t (id)';

async function workOf(statement: string): Promise<ConcurrentWork> {
  const work = await findConcurrentWork(statement);
  if (work) return work;
  throw new Error(`nothing concurrent in: ${statement}`);
}

/** What a run does with a statement, its journal aside. */
async function run(
  statement: string,
  { resumed = false }: { resumed?: boolean } = {},
  connection: Queryable = runner,
): Promise<'run' | 'done' | 'run-instead'> {
  const work = await workOf(statement);
  const step = await prepareConcurrentWork(connection, work, { resumed });
  if (step.kind === 'run') await connection.query(rawQuery(statement));
  if (step.kind === 'run-instead') await connection.query(step.query);
  if (step.kind !== 'done') await verifyConcurrentWork(connection, work);
  return step.kind;
}

const prepare = async (statement: string, options: PrepareOptions) =>
  prepareConcurrentWork(runner, await workOf(statement), options);
const verify = async (statement: string) => verifyConcurrentWork(runner, await workOf(statement));
const hasEffect = async (statement: string) => hasConcurrentEffect(runner, await workOf(statement));

/** Every index of the test's own as it is, `schema.name` where it is not in `public`, `!` after an invalid one. */
async function listIndexes(): Promise<readonly string[]> {
  const rows = await query<{ name: string }>(`
    select case nspname when 'public' then '' else nspname || '.' end || relname
      || case when indisvalid then '' else '!' end as name
    from pg_index join pg_class as c on c.oid = indexrelid join pg_namespace as n on n.oid = relnamespace
    where c.oid >= 16384 and nspname <> 'pg_toast' order by nspname <> 'public', nspname, relname`);
  return rows.map(({ name }) => name);
}

async function connect(connectionString = url): Promise<{ client: pg.Client; pid: number }> {
  const client = new pg.Client({ connectionString });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return { client, pid: rows[0]?.pid ?? 0 };
}

/** Begins a transaction that does this and stays open; gives what ends it. */
async function hold(statement: string): Promise<() => Promise<unknown>> {
  const { client } = await connect();
  await client.query(`begin; ${statement}`);
  return () => client.query('commit');
}

const isHeldUp = (pid: number) => async () => {
  const [row] = await query('select from pg_stat_activity where pid = $1 and wait_event = $2', [
    pid,
    'virtualxid',
  ]);
  return row !== undefined;
};

/** Another session at the statement, which waits for the transaction that does `inTheWay`. */
async function startElsewhere(statement: string, inTheWay: string) {
  const release = await hold(inTheWay);
  const { client, pid } = await connect();
  const outcome = client.query(statement).then(
    () => 'done',
    ({ code }: pg.DatabaseError) => code,
  );
  await waitUntil(`"${statement}" is held up`, isHeldUp(pid));
  const cancel = async () => {
    await query('select pg_cancel_backend($1)', [pid]);
    expect(await outcome).toBe('57014');
  };
  return { pid, outcome, release, cancel };
}

/** A transaction that has written keeps an index from being built, one that has read keeps it from being dropped. */
async function interrupt(statement: string, inTheWay: string): Promise<void> {
  const { cancel, release } = await startElsewhere(statement, inTheWay);
  await cancel();
  await release();
}

const write = 'insert into t values (10, 10)';
const read = 'select from t';

describe('an index that a statement left invalid', () => {
  test.each([createIndex, createIfAbsent])('is dropped and built again: %s', async (statement) => {
    await interrupt(statement, write);
    expect(await listIndexes()).toEqual(['i!']);

    const step = await run(statement, { resumed: true });

    expect(step).toBe('run');
    expect(await listIndexes()).toEqual(['i']);
  });

  test('over duplicates is built once they are gone, and not taken for finished before', async () => {
    const isDuplicate = { cause: { code: '23505' } };
    await query('insert into t values (1)');
    expect(await failureOf(run(createUnique))).toMatchObject(isDuplicate);
    expect(await listIndexes()).toEqual(['i!']);
    expect(await failureOf(run(createUnique, { resumed: true }))).toMatchObject(isDuplicate);

    await query('delete from t where code is null');
    await run(createUnique, { resumed: true });

    expect(await listIndexes()).toEqual(['i']);
  });

  test('is dropped in the first run too', async () => {
    await interrupt(createIndex, write);

    await run(createIfAbsent);

    expect(await listIndexes()).toEqual(['i']);
  });

  test('by a drop that had come further than making it invalid is dropped and built again', async () => {
    await query('create index i on t (id)');
    const { pid, cancel, release } = await startElsewhere('drop index concurrently i', read);
    const releaseNext = await hold(read);
    await release();
    const isDead = async () => (await query('select from pg_index where not indislive')).length === 1;
    await waitUntil('the index is dead', isDead);
    await waitUntil('the drop is held up again', isHeldUp(pid));
    await cancel();
    await releaseNext();

    await run(createIfAbsent);

    expect(await listIndexes()).toEqual(['i']);
  });

  test('is one of that table, not of its namesake in another schema', async () => {
    await query('create schema s; create table s.t (id int); insert into s.t values (1), (1)');
    await failureOf(query('create unique index concurrently i on s.t (id)'));

    await run(createIfAbsent);

    expect(await listIndexes()).toEqual(['i', 's.i!']);
  });

  test('is found in the schema of its table, whatever search_path and capitals say', async () => {
    await query(
      'create schema "S.x"; create table "S.x"."T""ä" (id int); insert into "S.x"."T""ä" values (1), (1)',
    );
    const statement = 'create unique index concurrently if not exists "I;" on "S.x"."T""ä" (id)';
    await failureOf(query(statement));
    await query('delete from "S.x"."T""ä"');

    await run(statement);

    expect(await listIndexes()).toEqual(['S.x.I;']);
  });

  test('is found by the first 63 bytes of its name', async () => {
    const statement = `create index concurrently if not exists ${'ü'.repeat(40)} on t (id)`;
    await interrupt(statement, write);

    await run(statement);

    expect(await listIndexes()).toEqual(['ü'.repeat(31)]);
  });

  test('is found through search_path', async () => {
    await query('create schema s; create table s.t (id int); insert into s.t values (1), (1)');
    await failureOf(query('create unique index concurrently i on s.t (id)'));

    await pool.connect(async (slonik) => {
      const connection = queryableOf(slonik);
      await connection.query(rawQuery('set search_path = s, public'));
      await run(createIfAbsent, {}, connection);
      await connection.query(rawQuery('reset search_path'));
    });

    expect(await listIndexes()).toEqual(['s.i']);
  });

  test('is found on a temporary table', async () => {
    await pool.connect(async (slonik) => {
      const connection = queryableOf(slonik);
      await connection.query(rawQuery('create temporary table t as select 1 as id'));
      await connection.query(rawQuery('create index i on t (id)'));
      // There PostgreSQL builds at once and leaves none, so that this one has to be made.
      await connection.query(
        rawQuery("update pg_index set indisvalid = false where indexrelid = 'i'::regclass"),
      );

      await run(createIfAbsent, {}, connection);

      expect(await listIndexes()).toEqual([expect.stringMatching(/^pg_temp_\d+\.i$/)]);
      await connection.query(rawQuery('drop table pg_temp.t'));
    });
  });

  test('is left to PostgreSQL where it refuses concurrent work, on a partitioned table', async () => {
    await query('create table p (id int) partition by range (id)');
    await query('create table p1 partition of p for values from (0) to (10)');
    await query('create index i on only p (id)');

    const error = await failureOf(run('create index concurrently if not exists i on p (id)'));

    expect(error).toMatchObject({ code: '0A000', message: expect.stringContaining('cannot create index') });
    expect(await listIndexes()).toEqual(['i!']);
  });

  test('is not dropped as a part of a partitioned index, and is not taken for finished', async () => {
    await query('create table p (id int) partition by range (id)');
    await query('create table p1 partition of p for values from (0) to (10)');
    await query('create index whole on only p (id)');
    const statement = 'create index concurrently if not exists part on p1 (id)';
    await interrupt(statement, 'insert into p values (1)');
    await query('alter index whole attach partition part');

    const error = await failureOf(run(statement));

    expect(error).toMatchObject({
      message: 'index "part" is there, but invalid: PostgreSQL does not use it',
    });
    expect(await listIndexes()).toEqual(['part!', 'whole!']);
  });
});

describe('an index that is there and valid', () => {
  test('is the work of a statement that is resumed', async () => {
    await query('create index i on t (id)');

    expect(await run(createIndex, { resumed: true })).toBe('done');
  });

  test('is for PostgreSQL to complain of in a first run', async () => {
    await query('create index i on t (id)');

    expect(await failureOf(run(createIndex))).toMatchObject({ code: '42P07' });
    expect(await run(createIfAbsent)).toBe('run');
    expect(await listIndexes()).toEqual(['i']);
  });

  test.each([
    ['an index of another table', 'create table u (id int); create index i on u (id)'],
    ['a table', 'create table i ()'],
  ])('is not there where %s has its name', async (_, statement) => {
    await query(statement);

    const error = await failureOf(run(createIfAbsent, { resumed: true }));

    expect(error).toMatchObject({ message: '"i" is there, but it is not an index of "t"' });
  });

  test('needs no name', async () => {
    expect(await run('create index concurrently on t (id)')).toBe('run');
    expect(await run('create index concurrently on t (id)', { resumed: true })).toBe('run');
    expect(await listIndexes()).toEqual(['t_id_idx', 't_id_idx1']);
  });
});

describe('another session at the same work', () => {
  type Wait = Parameters<NonNullable<PrepareOptions['onWait']>>[0];

  /** Prepares until the first report of a wait, and gives that with what comes of it. */
  async function prepareBeside(statement: string, resumed = false) {
    const { promise: wait, resolve: onWait, reject } = Promise.withResolvers<Wait>();
    const step = prepare(statement, { resumed, onWait });
    step.then(() => reject(new Error('it did not wait')), reject);
    return { wait: await wait, step };
  }

  test('is waited for and told of; its index is kept', async () => {
    const other = await startElsewhere(createIndex, write);

    const { wait, step } = await prepareBeside(createIndex, true);
    await other.release();

    expect(wait).toEqual({
      waitedMs: expect.any(Number),
      blockers: [
        {
          pid: other.pid,
          role: new URL(url).username,
          state: 'active',
          query: createIndex,
          lockMode: 'ShareUpdateExclusiveLock',
          relation: 'public.t',
          transactionAgeMs: expect.any(Number),
        },
      ],
    });
    expect(await step).toEqual({ kind: 'done' });
    expect(await other.outcome).toBe('done');
    expect(await listIndexes()).toEqual(['i']);
  });

  test('has its index dropped when it does not finish it', async () => {
    const other = await startElsewhere(createIndex, write);

    const { step } = await prepareBeside(createIfAbsent);
    await other.cancel();
    expect(await listIndexes()).toEqual(['i!']);
    await other.release();

    expect(await step).toEqual({ kind: 'run' });
    expect(await listIndexes()).toEqual([]);
  });

  test('is seen by a role that may not see what it does', async () => {
    const { url: ownUrl } = await createRole(
      database,
      (role) => `grant create on schema public to ${role}; alter table t owner to ${role}`,
    );
    const own = await createPool(ownUrl, { maxPoolSize: 1 });
    onTestFinished(() => own.end());
    const other = await startElsewhere(createIndex, write);
    const blockers: unknown[] = [];

    const step = prepareConcurrentWork(queryableOf(own), await workOf(createIndex), {
      resumed: false,
      onWait: (wait) => blockers.push(...wait.blockers),
    });
    await waitUntil('it is told of', async () => blockers.length > 0);
    await other.release();

    expect(await step).toEqual({ kind: 'run' });
    expect(blockers).toEqual([
      {
        pid: other.pid,
        role: new URL(url).username,
        lockMode: 'ShareUpdateExclusiveLock',
        relation: 'public.t',
      },
    ]);
  });

  test.each([
    ['dropping it', 'drop index concurrently i', 'drop index concurrently i', read, 'i'],
    ['dropping what is to be created', 'drop index concurrently i', createIndex, read, 'i'],
    ['building it again', 'reindex index concurrently i', 'drop index concurrently i', write, 't'],
    [
      'building an index of a table in the schema',
      createIndex.replace('i on', 'j on'),
      'reindex schema concurrently public',
      write,
      't',
    ],
  ])('is waited for while it is %s', async (_, statement, ours, inTheWay, relation) => {
    await query('create index i on t (id)');
    const other = await startElsewhere(statement, inTheWay);

    const { wait, step } = await prepareBeside(ours, true);
    await other.release();

    expect(wait.blockers).toMatchObject([{ pid: other.pid, relation: `public.${relation}` }]);
    await step;
    expect(await other.outcome).toBe('done');
  });

  test('has dropped what a resumed statement was to drop', async () => {
    await query('create index i on t (id)');
    const other = await startElsewhere('drop index concurrently i', read);

    const { step } = await prepareBeside('drop index concurrently i', true);
    await other.release();

    expect(await step).toEqual({ kind: 'done' });
  });

  test('is no longer waited for when the run is to stop', async () => {
    const other = await startElsewhere(createIndex, write);
    const stop = new AbortController();

    const step = prepare(createIndex, {
      resumed: false,
      signal: stop.signal,
      onWait: () => stop.abort(new StoppedError('SIGTERM')),
    });

    expect(await failureOf(step)).toBeInstanceOf(StoppedError);
    await other.release();
    await other.outcome;
  });

  test.each([
    ['only locks the table as vacuum does', 'lock table t in share update exclusive mode'],
    ['reads it', read],
    ['writes it', write],
  ])('is none when it %s', async (_, statement) => {
    await query('create index i on t (id)');
    await hold(statement);

    expect(await prepare(createIndex, { resumed: false })).toEqual({ kind: 'run' });
  });

  test('is none when it builds an index of another table', async () => {
    await query('create table u (id int)');
    const other = await startElsewhere('create index concurrently i2 on u (id)', 'insert into u values (1)');

    expect(await prepare(createIndex, { resumed: false })).toEqual({ kind: 'run' });
    await other.release();
    await other.outcome;
  });
});

describe('an index to be dropped', () => {
  const dropIndex = 'drop index concurrently public.i';

  test('that an interrupted statement left invalid is dropped', async () => {
    await query('create index i on t (id)');
    await interrupt(dropIndex, read);
    expect(await listIndexes()).toEqual(['i!']);

    expect(await run(dropIndex, { resumed: true })).toBe('run');

    expect(await listIndexes()).toEqual([]);
  });

  test('that is gone has been dropped by the statement that is resumed', async () => {
    expect(await run(dropIndex, { resumed: true })).toBe('done');
    expect(await failureOf(run(dropIndex))).toMatchObject({ code: '42704' });
    expect(await run('drop index concurrently if exists i')).toBe('run');
  });
});

describe('what reindex left', () => {
  const longest = 'a'.repeat(63);
  const wide = `x${'ü'.repeat(31)}`;

  test.each([
    ['a new index', write, ['i', 'i_ccnew!']],
    ['an old index', read, ['i', 'i_ccold!']],
  ])('is dropped: %s', async (_, inTheWay, left) => {
    await query('create index i on t (id)');
    await interrupt('reindex index concurrently i', inTheWay);
    expect(await listIndexes()).toEqual(left);

    expect(await run('reindex index concurrently i', { resumed: true })).toBe('run');

    expect(await listIndexes()).toEqual(['i']);
  });

  test.each([
    ['cut to 63 bytes', longest, `${'a'.repeat(57)}_ccnew!`],
    ['cut between characters', `"${wide}"`, `x${'ü'.repeat(28)}_ccnew!`],
    ['one byte too long', 'b'.repeat(58), `${'b'.repeat(57)}_ccnew!`],
    ['just short enough', 'c'.repeat(57), `${'c'.repeat(57)}_ccnew!`],
    ['in quotes', '"I ""x"""', 'I "x"_ccnew!'],
  ])('is known by a name that is %s', async (_, name, left) => {
    await query(`create index ${name} on t (id)`);
    await interrupt(`reindex index concurrently ${name}`, write);
    expect(await listIndexes()).toContain(left);

    await run(`reindex index concurrently ${name}`);

    expect(await listIndexes()).toEqual([left.startsWith('I') ? 'I "x"' : name.replaceAll('"', '')]);
  });

  test('is known by a name with a number', async () => {
    await query('create index i on t (id)');
    await interrupt('reindex index concurrently i', write);
    await interrupt('reindex index concurrently i', read);
    await interrupt('reindex index concurrently i', read);
    await interrupt('reindex index concurrently i', 'insert into t values (11)');
    expect(await listIndexes()).toEqual(['i', 'i_ccnew!', 'i_ccnew1!', 'i_ccold!', 'i_ccold1!']);

    await run('reindex index concurrently i');

    expect(await listIndexes()).toEqual(['i']);
  });

  test('of a primary key is dropped, and the key stays', async () => {
    await query('alter table t add primary key (id)');
    await interrupt('reindex table concurrently t', read);

    await run('reindex table concurrently t');

    expect(await listIndexes()).toEqual(['t_pkey']);
    expect(await failureOf(query('insert into t values (1)'))).toMatchObject({ code: '23505' });
  });

  test.each([
    ['reindex index concurrently i', ['i', 'k', 'k_ccnew!', 's.i', 's.i_ccnew!']],
    ['reindex table concurrently t', ['i', 'k', 's.i', 's.i_ccnew!']],
    ['reindex schema concurrently s', ['i', 'i_ccnew!', 'k', 'k_ccnew!', 's.i']],
    [`reindex database concurrently ${database.name}`, ['i', 'k', 's.i']],
  ])('is dropped as far as the statement reaches: %s', async (statement, indexes) => {
    await query('create index i on t (id); create index k on t (code)');
    await query('create schema s; create table s.t (id int); create index i on s.t (id)');
    await interrupt('reindex table concurrently t', write);
    await interrupt('reindex table concurrently s.t', 'insert into s.t values (1)');
    expect(await listIndexes()).toEqual(['i', 'i_ccnew!', 'k', 'k_ccnew!', 's.i', 's.i_ccnew!']);

    await run(statement);

    expect(await listIndexes()).toEqual(indexes);
  });

  test.each([
    ['reindex index concurrently i', 'insert into p values (1)', 'p1_id_idx_ccnew!'],
    // PostgreSQL locks the partitions of a table against writers first.
    ['reindex table concurrently p', 'select from p', 'p1_id_idx_ccold!'],
  ])('of a partition is dropped: %s', async (statement, inTheWay, left) => {
    await query('create table p (id int) partition by range (id); create index i on p (id)');
    await query('create table p1 partition of p for values from (0) to (10)');
    await interrupt(statement, inTheWay);
    expect(await listIndexes()).toEqual(['i', 'p1_id_idx', left]);

    await run(statement);

    expect(await listIndexes()).toEqual(['i', 'p1_id_idx']);
  });

  const listInvalidOfToast = () =>
    query(`select from pg_index where not indisvalid and indrelid::regclass::text ~ '^pg_toast'`);

  test('of the TOAST table is dropped by a superuser', async () => {
    await interrupt('reindex table concurrently t', write);
    expect(await listInvalidOfToast()).toHaveLength(1);

    await run('reindex table concurrently t');

    expect(await listInvalidOfToast()).toHaveLength(0);
  });

  test('of the TOAST table is no obstacle to the owner, who may not drop it', async () => {
    const { url: ownUrl } = await createRole(
      database,
      (role) => `grant create on schema public to ${role}; alter table t owner to ${role}`,
    );
    await query('create index i on t (id)');
    await interrupt('reindex table concurrently t', write);
    const own = await createPool(ownUrl, { maxPoolSize: 1 });
    onTestFinished(() => own.end());

    await run('reindex table concurrently t', {}, queryableOf(own));

    expect(await listIndexes()).toEqual(['i']);
    expect(await listInvalidOfToast()).toHaveLength(1);
  });

  test('is not seen in indexes that only look like it', async () => {
    await query('insert into t values (1, 1); create index i on t (id); create index k on t (code)');
    await query(`create index long on t (id); create index ${longest} on t (id)`);
    await query('create index i_ccnew1 on t (id); create table u (id int); insert into u values (1), (1)');
    const failing = [
      'other_ccnew on t (id)', // no index "other"
      'i_ccnewx on t (id)',
      'i_cc on t (id)',
      'lo_ccnew on t (id)', // "long" would not have been cut
      `${'a'.repeat(56)}_ccnew on t (id)`, // the longest name would have been cut less
      `${'z'.repeat(57)}_ccnew on t (id)`,
      'i_ccold on u (id)', // of another table
      'k_ccold on t (id)', // of other columns
      'k_ on t (id)',
    ];
    for (const index of failing) await failureOf(query(`create unique index concurrently ${index}`));
    const before = await listIndexes();

    await run('reindex table concurrently t');

    expect(before.filter((name) => name.endsWith('!'))).toHaveLength(failing.length);
    expect(await listIndexes()).toEqual(before);
  });

  test('is a failure when it is there afterwards', async () => {
    await query('create index i on t (id)');
    await interrupt('reindex index concurrently i', write);

    expect(await failureOf(verify('reindex table concurrently t'))).toMatchObject({
      message: 'reindex is over, but these indexes are invalid: "public.i_ccnew"',
    });
  });

  test('is none when another session is building it', async () => {
    await query('create index i on t (id)');
    const other = await startElsewhere('reindex index concurrently i', write);

    await verify('reindex table concurrently t');

    await other.release();
    expect(await other.outcome).toBe('done');
  });
});

describe('an invalid index', () => {
  beforeEach(() => interrupt(createIndex, write));

  test('is mended by reindex index', async () => {
    expect(await failureOf(verify('reindex index concurrently i'))).toMatchObject({
      message: 'reindex is over, but these indexes are invalid: "public.i"',
    });

    await run('reindex index concurrently i');

    expect(await listIndexes()).toEqual(['i']);
  });

  test('is passed over by reindex table, as PostgreSQL does', async () => {
    await run('reindex table concurrently t');

    expect(await listIndexes()).toEqual(['i!']);
  });
});

describe('a partition to be detached', () => {
  const detach = 'alter table p detach partition p1 concurrently';

  beforeEach(async () => {
    await query('create table p (id int) partition by range (id)');
    await query('create table p1 partition of p for values from (0) to (10)');
  });

  const listPartitions = async () => {
    const rows = await query<{ name: string; inhdetachpending: boolean }>(
      `select inhrelid::regclass::text as name, inhdetachpending from pg_inherits where inhparent = 'p'::regclass`,
    );
    return rows.map(({ name, inhdetachpending }) => `${name}${inhdetachpending ? ' pending' : ''}`);
  };

  test.each([true, false])(
    'is detached to the end when an interrupted statement left it pending, resumed or not: %s',
    async (resumed) => {
      await interrupt(detach, 'select from p');
      expect(await listPartitions()).toEqual(['p1 pending']);

      expect(await run(detach, { resumed })).toBe('run-instead');

      expect(await listPartitions()).toEqual([]);
    },
  );

  test('is found in its schema under its own name', async () => {
    await query('create schema "S"; create table "S"."P.x" partition of p for values from (10) to (20)');
    const statement = 'alter table public.p detach partition "S"."P.x" concurrently';
    await interrupt(statement, 'select from p');

    await run(statement);

    expect(await listPartitions()).toEqual(['p1']);
  });

  test('is detached as it says when nothing is pending', async () => {
    expect(await run(detach)).toBe('run');
    expect(await listPartitions()).toEqual([]);
  });

  test('is detached already when the statement is resumed, and is an error when not', async () => {
    await query('alter table p detach partition p1');

    expect(await run(detach, { resumed: true })).toBe('done');
    expect(await failureOf(run(detach))).toMatchObject({ code: '42P01' });
  });

  test('is missed where it is no more', async () => {
    await query('drop table p1');

    expect(await failureOf(run(detach, { resumed: true }))).toMatchObject({ code: '42P01' });
  });
});

describe('the effect of a statement', () => {
  test.each<[string, string, boolean]>([
    [createIndex, 'select', false],
    [createIndex, 'create index i on t (id)', true],
    [createIndex, 'create index i on p1 (id)', false],
    ['create index concurrently i on missing (id)', 'select', false],
    ['create index concurrently on t (id)', 'create index on t (id)', false],
    ['drop index concurrently i', 'select', true],
    ['drop index concurrently i', 'create index i on t (id)', false],
    ['drop index concurrently s.i', 'create index i on t (id)', true],
    ['reindex table concurrently t', 'select', false],
    ['alter table p detach partition p1 concurrently', 'select', false],
    ['alter table p detach partition p1 concurrently', 'alter table p detach partition p1', true],
    ['alter table p detach partition p1 concurrently', 'drop table p1', false],
    [
      'alter table q detach partition p1 concurrently',
      'create table q (id int) partition by range (id)',
      true,
    ],
    ['alter table p detach partition p1 concurrently', 'drop table p', false],
  ])('"%s" after "%s" is there: %s', async (statement, before, there) => {
    await query('create table p (id int) partition by range (id)');
    await query('create table p1 partition of p for values from (0) to (10)');
    await query(before);

    expect(await hasEffect(statement)).toBe(there);
  });

  test('is not there while an index is invalid', async () => {
    await interrupt(createIndex, write);

    expect(await hasEffect(createIndex)).toBe(false);
    expect(await hasEffect('drop index concurrently i')).toBe(false);
  });

  test('is not there while a detachment is pending', async () => {
    const detach = 'alter table p detach partition p1 concurrently';
    await query('create table p (id int) partition by range (id)');
    await query('create table p1 partition of p for values from (0) to (10)');
    await interrupt(detach, 'select from p');

    expect(await hasEffect(detach)).toBe(false);
  });
});
