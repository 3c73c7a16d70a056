import { createPgDriverFactory } from '@slonik/pg-driver';
import pg from 'pg';
import { createPool } from 'slonik';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { RunEvent } from '../../src/index.ts';
import { startCli } from '../support/cli.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { moduleText } from '../support/module-text.ts';
import { waitUntil } from '../support/wait-until.ts';

const { deploy, rollback, AlterationFailedError, StoppedError, UsageError } = library;
const database = await createDatabase();
const { query, url } = database;

beforeEach(() => emptyDatabase(database));

const ask = (text: string) => `await connection.query(sql.unsafe\`${text}\`);`;

const files = {
  '1.0.0-1-create.sql': 'create table t (id int primary key); insert into t values (1);',
  '1.0.0-2-more.ts': moduleText(
    `${ask('insert into t values (2)')} await connection.transaction((nested) => nested.query(sql.unsafe\`insert into t values (3)\`));`,
  ),
  '1.1.0-3-last.sql': 'insert into t values (4);',
};

const readIds = async () => (await query<{ id: number }>('select id from t order by id')).map(({ id }) => id);
const listTables = async () =>
  (await query<{ name: string }>(`select tablename as name from pg_tables where schemaname = 'public'`)).map(
    ({ name }) => name,
  );
const advisoryLocks = `select from pg_locks as l join pg_database as d on d.oid = l.database
  where l.locktype = 'advisory' and d.datname = current_database()`;
/** A first deploy has made the history before; the table of it is all there is. */
const nothing = ['alteration_history'];

describe('an atomic deploy', () => {
  test.each([
    ['a connection string', async () => url],
    [
      'a pool with a driver of its own',
      async () => {
        const pool = await createPool(url, { driverFactory: createPgDriverFactory() });
        onTestFinished(() => pool.end());
        return pool;
      },
    ],
  ])('applies files and modules in one transaction, with %s', async (_, openSource) => {
    const folder = await createFolder({ ...files, '1.1.0-4-slow.sql': 'select pg_sleep(1);' });

    const seenByOthers: Promise<readonly string[]>[] = [];
    const onEvent = ({ type }: RunEvent) => {
      if (type === 'started') seenByOthers.push(listTables());
    };

    const report = await deploy({ database: await openSource(), folder, atomic: true, onEvent });

    expect(report.applied.map(({ id }) => id)).toEqual(['1', '2', '3', '4']);
    expect(await Promise.all(seenByOthers)).toEqual([nothing, nothing, nothing, nothing]);
    expect(await readIds()).toEqual([1, 2, 3, 4]);
    expect(await deploy({ database: url, folder, atomic: true })).toMatchObject({ applied: [] });
    await rollback({
      database: url,
      folder: await createFolder(withDown({ ...files, '1.1.0-4-slow.sql': '' })),
      target: '0.0.0',
      allowEdited: true,
    });
    expect(await query('select from alteration_history')).toEqual([]);
  });

  test('leaves nothing when one fails, and says so', async () => {
    const folder = await createFolder({ ...files, '1.1.0-3-last.sql': 'insert into t values (4), (1);' });

    const error = await failureOf(deploy({ database: url, folder, atomic: true }));

    expect(error).toBeInstanceOf(AlterationFailedError);
    expect(error).toMatchObject({
      alteration: '1.1.0-3-last.sql',
      hint: 'All was rolled back: nothing of this run stays. Mend it and run again.',
      progress: {
        direction: 'up',
        done: [],
        remaining: ['1.0.0-1-create.sql', '1.0.0-2-more.ts', '1.1.0-3-last.sql'],
      },
    });
    expect(await listTables()).toEqual(nothing);
    expect(await query('select from alteration_history')).toEqual([]);
  });

  test('tells people that nothing is applied', async () => {
    const folder = await createFolder({ ...files, '1.1.0-3-last.sql': 'select 1 / 0;' });

    const { exitCode, stderr } = await startCli(['deploy', '--dir', folder, '--atomic'], {
      env: { DB_URL: url, ALTERATION_LOG_FORMAT: 'pretty' },
    }).result;

    expect(exitCode).toBe(4);
    expect(stderr).toContain('"1.1.0-3-last.sql" failed: division by zero.');
    expect(stderr).toContain('None of the 3 alterations is applied.');
  });

  test('takes nothing back of what an earlier deploy applied', async () => {
    const folder = await createFolder({ ...files, '1.1.0-3-last.sql': 'select 1 / 0;' });
    await deploy({ database: url, folder, target: '1.0.0' });

    await failureOf(deploy({ database: url, folder, atomic: true }));

    expect(await readIds()).toEqual([1, 2, 3]);
  });

  test('begins each alteration with the same session', async () => {
    const look = `insert into seen select current_setting('search_path'), current_setting('lock_timeout'), current_user,
      (select count(*)::int from pg_prepared_statements where from_sql), to_regclass('pg_temp.scratch') is null`;
    const folder = await createFolder({
      '1.0.0-1-create.sql': `create table seen (path text, timeout text, role text, prepared int, clean boolean); ${look}`,
      '1.0.0-2-leak.sql': `-- alteration: lock-timeout=17s
        create temporary table scratch (id int); prepare p as select 1; set search_path = '';
        set local statement_timeout = '30s'; set role pg_monitor;`,
      '1.0.0-3-after.sql': look,
      '1.0.0-4-leak.ts': moduleText(ask(`set search_path = ''`) + ask('set role pg_monitor')),
      '1.0.0-5-after.ts': moduleText(ask(look)),
    });

    await deploy({ database: url, folder, atomic: true });

    const seen = await query('select distinct * from seen');
    expect(seen).toEqual([
      { path: '"$user", public', timeout: '3s', role: 'postgres', prepared: 0, clean: true },
    ]);
  });

  test('tells what each alteration leaves where that is asked for', async () => {
    const events: RunEvent[] = [];
    const folder = await createFolder({
      '1.0.0-1-leak.sql': `set search_path = '';`,
      '1.0.0-2-leak.sql': 'prepare p as select 1;',
    });
    const onEvent = (event: RunEvent) => events.push(event);

    await deploy({ database: url, folder, atomic: true, tellLeaks: true, onEvent });

    expect(events.filter(({ type }) => type === 'leaked')).toEqual([
      { type: 'leaked', alteration: '1.0.0-1-leak.sql', leaks: ['setting search_path'] },
      { type: 'leaked', alteration: '1.0.0-2-leak.sql', leaks: ['prepared statement p'] },
    ]);
  });

  test('names the alteration that breaks a constraint which is deferred to the commit', async () => {
    const folder = await createFolder({
      '1.0.0-1-create.sql':
        'create table p (id int primary key); create table c (p int references p deferrable initially deferred);',
      '1.0.0-2-break.sql': 'insert into c values (7);',
      '1.0.0-3-more.sql': 'create table more ();',
    });

    const error = await failureOf(deploy({ database: url, folder, atomic: true }));

    expect(error).toMatchObject({ alteration: '1.0.0-2-break.sql', database: { sqlState: '23503' } });
    expect(await listTables()).toEqual(nothing);
  });

  test('lets an alteration break what is deferred, if it mends it itself', async () => {
    const folder = await createFolder({
      '1.0.0-1-create.sql':
        'create table p (id int primary key); create table c (p int references p deferrable initially deferred);',
      '1.0.0-2-circle.sql': 'insert into c values (7); insert into p values (7);',
      '1.0.0-3-circle.sql': 'insert into c values (8); insert into p values (8);',
    });

    await deploy({ database: url, folder, atomic: true });

    expect(await query('select p from c order by p')).toEqual([{ p: 7 }, { p: 8 }]);
  });

  test('lets no alteration go back behind its own beginning', async () => {
    const folder = await createFolder({
      '1.0.0-1-create.sql': 'savepoint x; create table one ();',
      '1.0.0-2-back.sql': 'rollback to savepoint x; create table two ();',
    });

    const error = await failureOf(deploy({ database: url, folder, atomic: true }));

    expect(error).toMatchObject({ alteration: '1.0.0-2-back.sql', database: { sqlState: '3B001' } });
    expect(await listTables()).toEqual(nothing);
  });

  test('tells that alterations are finished when all are', async () => {
    const told: string[] = [];
    const onEvent = ({ type }: RunEvent) => {
      if (type === 'started' || type === 'finished') told.push(type);
    };

    await failureOf(
      deploy({
        database: url,
        folder: await createFolder({ ...files, '1.1.0-4-bad.sql': 'select 1 / 0;' }),
        atomic: true,
        onEvent,
      }),
    );
    await deploy({ database: url, folder: await createFolder(files), atomic: true, onEvent });

    expect(told.join(' ')).toBe(
      'started started started started started started started finished finished finished',
    );
  });

  test('says what to do where PostgreSQL wants something committed first', async () => {
    const folder = await createFolder({
      '1.0.0-1-create.sql': `create type mood as enum ('sad');`,
      '1.0.0-2-add.sql': `alter type mood add value 'happy';`,
      '1.0.0-3-use.sql': `create table m (m mood default 'happy');`,
    });
    await deploy({
      database: url,
      folder: await createFolder({ '1.0.0-1-create.sql': `create type mood as enum ('sad');` }),
    });

    const error = await failureOf(deploy({ database: url, folder, atomic: true }));

    expect(error).toMatchObject({
      alteration: '1.0.0-3-use.sql',
      hint: expect.stringContaining('deploy without --atomic'),
    });
    await deploy({ database: url, folder });
  });

  test('measures each alteration by itself', async () => {
    const folder = await createFolder({
      '1.0.0-1-slow.sql': 'select pg_sleep(0.4);',
      '1.0.0-2-quick.sql': 'select 1;',
      '1.0.0-3-slow.ts': moduleText(ask('select pg_sleep(0.4)')),
    });

    await deploy({ database: url, folder, atomic: true });

    const rows = await query<{ ms: string }>(
      'select duration_ms as ms from alteration_history order by "timestamp"',
    );
    const [slow = 0, quick = 0, slowModule = 0] = rows.map(({ ms }) => Number(ms));
    expect(slow).toBeGreaterThanOrEqual(390);
    expect(slowModule).toBeGreaterThanOrEqual(390);
    expect(quick).toBeLessThan(slow);
  });

  test('is made again as a whole when others hold a lock that it needs', async () => {
    await query('create table held (id int)');
    const other = new pg.Client({ connectionString: url });
    await other.connect();
    onTestFinished(() => other.end());
    await other.query('begin; lock table held in access share mode');
    const retried: RunEvent[] = [];

    const report = await deploy({
      database: url,
      folder: await createFolder({ ...files, '1.1.0-4-held.sql': 'alter table held add column more int;' }),
      atomic: true,
      lockTimeoutMs: 100,
      onEvent: (event) => {
        if (event.type !== 'retrying') return;
        retried.push(event);
        void other.query('commit');
      },
    });

    expect(retried).not.toEqual([]);
    expect(report.applied).toHaveLength(4);
    expect(await readIds()).toEqual([1, 2, 3, 4]);
  });

  test('gives up after the lock deadline, with nothing left, and says who was in the way', async () => {
    await query('create table held (id int)');
    const other = new pg.Client({ connectionString: url, application_name: 'in-the-way' });
    await other.connect();
    onTestFinished(() => other.end());
    await other.query('begin; lock table held in access share mode');
    const folder = await createFolder({
      ...files,
      '1.1.0-4-held.sql': 'alter table held add column more int;',
    });

    const error = await failureOf(
      deploy({ database: url, folder, atomic: true, lockTimeoutMs: 300, lockDeadlineMs: 1_000 }),
    );

    expect(error).toMatchObject({
      code: 'alteration-failed',
      message: expect.stringContaining('did not get the locks that it needs'),
      hint: expect.stringMatching(
        /^All was rolled back: nothing of this run stays\. End what holds the locks/,
      ),
      blockers: [{ applicationName: 'in-the-way' }],
      progress: { done: [] },
    });
    expect(await query('select from alteration_history')).toEqual([]);
  });

  test('that is to stop ends before the next alteration, with nothing left', async () => {
    const stop = new AbortController();
    const folder = await createFolder(files);

    const error = await failureOf(
      deploy({
        database: url,
        folder,
        atomic: true,
        stop: stop.signal,
        onEvent: (event) => {
          if (event.type === 'started' && event.index === 2) stop.abort(new StoppedError('SIGTERM'));
        },
      }),
    );

    expect(error).toMatchObject({
      code: 'stopped',
      hint: 'All was rolled back: nothing of this run stays. Run it again.',
      progress: { done: [] },
    });
    expect(await listTables()).toEqual(nothing);
  });

  test.each(['SIGKILL', 'SIGTERM'] as const)('leaves nothing when its process gets %s', async (signal) => {
    const folder = await createFolder({ ...files, '1.1.0-4-long.sql': 'select pg_sleep(60);' });
    const run = startCli(['deploy', '--dir', folder, '--atomic', '--grace', '0s'], { env: { DB_URL: url } });
    await waitUntil('it sleeps', async () => {
      const sessions = await query(
        `select from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid() and datname = current_database()`,
      );
      return sessions.length > 0;
    });

    run.process.kill(signal);

    await run.result;
    await waitUntil('the server has noticed', async () => {
      const locks = await query(advisoryLocks);
      return locks.length === 0;
    });
    expect(await listTables()).toEqual(nothing);
    await deploy({ database: url, folder: await createFolder(files), atomic: true });
    expect(await readIds()).toEqual([1, 2, 3, 4]);
  });

  test('is rolled back when an alteration releases the lock that keeps others out', async () => {
    const folder = await createFolder({
      ...files,
      '1.0.0-2-more.ts': moduleText(ask('select pg_advisory_unlock_all()')),
    });

    const error = await failureOf(deploy({ database: url, folder, atomic: true }));

    expect(error).toMatchObject({
      code: 'alteration-failed',
      message: 'One of the alterations released the lock that keeps other instances out.',
      hint: expect.stringContaining('All was rolled back.'),
    });
    expect(await listTables()).toEqual(nothing);
  });

  test('lets go of the advisory locks that alterations took', async () => {
    const folder = await createFolder({
      '1.0.0-1-lock.sql': 'select pg_advisory_lock(42); select pg_advisory_xact_lock(43);',
      '1.0.0-2-more.sql': 'select 1;',
    });

    const report = await deploy({ database: url, folder, atomic: true });

    expect(report.applied).toHaveLength(2);
    expect(await query(advisoryLocks)).toEqual([]);
  });
});

describe('an atomic deploy is refused before anything is run', () => {
  test('where work outside a transaction is pending: all of it is named', async () => {
    const folder = await createFolder({
      ...files,
      '1.1.0-4-index.sql': '-- alteration: no-transaction\ncreate index concurrently i on t (id);',
      '1.1.0-5-before.ts': `export default { beforeUp: async () => {}, up: async () => {} };`,
      '1.1.0-6-set.sql': 'set constraints all deferred;',
    });

    const error = await failureOf(deploy({ database: url, folder, atomic: true }));

    expect(error).toBeInstanceOf(UsageError);
    expect(error).toMatchObject({
      message: 'Not all that is pending can be applied in one transaction.',
      problems: [
        {
          file: '1.1.0-4-index.sql',
          message: '"1.1.0-4-index.sql" says that it runs without a transaction.',
        },
        {
          file: '1.1.0-5-before.ts',
          message: '"1.1.0-5-before.ts" has a beforeUp, which runs before any transaction.',
        },
        {
          file: '1.1.0-6-set.sql',
          message: '"1.1.0-6-set.sql" sets constraints, which would hold for those behind it too.',
        },
      ],
    });
    expect(await listTables()).toEqual([]);
    await deploy({ database: url, folder });
    expect(await deploy({ database: url, folder, atomic: true })).toMatchObject({ applied: [] });
  });

  test('behind a transaction pooler', async () => {
    const error = await failureOf(
      deploy({ database: url, folder: await createFolder(files), atomic: true, pooler: 'transaction' }),
    );

    expect(error).toBeInstanceOf(UsageError);
    expect(error).toMatchObject({ hint: expect.stringContaining('--direct-url') });
    expect(await listTables()).toEqual([]);
  });
});

function withDown(given: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const down = (file: string) => file.replace(/\.(?:sql|ts)$/, '.down.sql');
  const up = (file: string) => file.replace(/\.(?:sql|ts)$/, '.up.sql');
  return Object.fromEntries(
    Object.keys(given).flatMap((file, index) => [
      [up(file), 'select 1;'],
      [down(file), index === 0 ? 'drop table t;' : 'select 1;'],
    ]),
  );
}
