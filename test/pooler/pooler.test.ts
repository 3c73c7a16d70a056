import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, onTestFinished, test } from 'vitest';
import type { DeployOptions, RunEvent } from '../../src/index.ts';
import { lockKey } from '../../src/postgres/lock.ts';
import { type CliRun, startCli } from '../support/cli.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { moduleText } from '../support/module-text.ts';
import { type PgBouncer, type PgBouncerOptions, startPgBouncer } from '../support/pgbouncer.ts';
import { waitUntil } from '../support/wait-until.ts';

const { deploy, rollback, status } = library;
const database = await createDatabase();
const { query, url: directUrl, name } = database;
let pooler: PgBouncer;
let url: string;

beforeAll(async () => {
  pooler = await startPgBouncer({ serverUrl: inject('serverUrl'), poolMode: 'transaction' });
  url = pooler.url(name);
});
beforeEach(() => emptyDatabase(database));
afterAll(() => pooler.stop());

async function openPooler(options: Omit<PgBouncerOptions, 'serverUrl'>): Promise<string> {
  const own = await startPgBouncer({ serverUrl: inject('serverUrl'), ...options });
  onTestFinished(() => own.stop());
  return own.url(name);
}

function start(args: readonly string[], folder: string, at = url): CliRun {
  const run = startCli([...args, '--dir', folder, '--json'], { env: { DB_URL: at } });
  onTestFinished(() => {
    run.process.kill('SIGKILL');
  });
  return run;
}

const createEffects = 'create table effects (id int); create table gate (open bool);';
const effect = (id: number) => `insert into effects values (${id});`;
const effectQuery = (id: number) => `await connection.query(sql.unsafe\`${effect(id)}\`);`;
const stayQuery =
  'await connection.query(sql.unsafe`select pg_sleep(600) where not exists (select from gate)`);';

async function readEffects(): Promise<number[]> {
  const rows = await query<{ id: number }>('select id from effects order by id');
  return rows.map(({ id }) => id);
}

/** Advisory locks in the database, whoever holds them. */
const readLocks = () =>
  query<{ pid: number }>(
    `select pid from pg_locks where locktype = 'advisory'
      and database = (select oid from pg_database where datname = current_database())`,
  );

const readInvalid = () => query('select indexrelid::regclass from pg_index where not indisvalid');

const historyOfAllKinds = {
  '1.0.0-1-create.sql': createEffects + effect(1),
  '1.0.0-2-index.sql': `-- alteration: no-transaction
${effect(2)}
create index concurrently effects_id on effects (id);
vacuum effects;
${effect(3)}`,
  '1.1.0-3-before.ts': `import { sql } from 'slonik';
export default {
  beforeUp: async (connection) => {
    await connection.query(sql.unsafe\`create index concurrently if not exists effects_twice on effects ((id * 2))\`);
  },
  up: async (connection) => { ${effectQuery(4)} },
  down: async (connection) => { await connection.query(sql.unsafe\`delete from effects where id = 4\`); },
};`,
  '1.1.0-4-pair.up.sql': `-- alteration: no-transaction\n${effect(5)}`,
  '1.1.0-4-pair.down.sql':
    '-- alteration: no-transaction\ndelete from effects where id = 5;\ndrop index concurrently effects_twice;',
};

describe('through a transaction pooler', () => {
  test('every kind of alteration is deployed and rolled back, and no lock is left', async () => {
    const folder = await createFolder(historyOfAllKinds);

    const report = await deploy({ database: url, folder });

    expect(report.database.pooler).toBe('transaction');
    expect(report.applied.map(({ id }) => id)).toEqual(['1', '2', '3', '4']);
    expect(await readEffects()).toEqual([1, 2, 3, 4, 5]);
    expect(await readLocks()).toEqual([]);
    const back = await rollback({ database: url, folder, target: '1.0.0' });
    expect(back.rolledBack.map(({ id }) => id)).toEqual(['4', '3']);
    expect(await readEffects()).toEqual([1, 2, 3]);
    expect(await readLocks()).toEqual([]);
    expect(await readInvalid()).toEqual([]);
  });

  test.each<[string, 'transaction' | 'none', Partial<DeployOptions>]>([
    ['is recognised', 'transaction', {}],
    ['can be said to be none, for one that keeps sessions', 'none', { pooler: 'none' }],
  ])('it %s', async (_, kind, options) => {
    const folder = await createFolder({ '1.0.0-1-create.sql': createEffects });

    const report = await deploy({ database: url, folder, ...options });

    expect(report.database.pooler).toBe(kind);
  });

  test('a direct connection is recognised too, and can be treated as a pooler', async () => {
    const folder = await createFolder(historyOfAllKinds);

    expect((await status({ database: directUrl, folder })).database.pooler).toBe('none');
    const report = await deploy({ database: directUrl, folder, pooler: 'transaction' });

    expect(report.database.pooler).toBe('transaction');
    expect(await readEffects()).toEqual([1, 2, 3, 4, 5]);
  });

  test('four instances and two direct ones apply each alteration once', async () => {
    const folder = await createFolder({
      ...historyOfAllKinds,
      ...Object.fromEntries(
        Array.from({ length: 12 }, (_, index) => [`1.2.0-${index + 10}-more.sql`, effect(index + 10)]),
      ),
      '1.3.0-50-big.sql': 'create table big as select n from generate_series(1, 50000) as n;',
      '1.3.0-51-index.sql':
        '-- alteration: no-transaction\ncreate unique index concurrently big_n on big (n);',
      '1.3.0-52-last.ts': moduleText(effectQuery(99)),
    });
    const urls = [url, url, directUrl, url, url, directUrl];

    const runs = urls.map((at) => start(['deploy', 'latest'], folder, at));
    const results = await Promise.all(runs.map(({ result }) => result));

    expect(results.map(({ exitCode, stderr }) => (exitCode === 0 ? 0 : stderr))).toEqual(Array(6).fill(0));
    const more = Array.from({ length: 12 }, (_, index) => index + 10);
    expect(await readEffects()).toEqual([1, 2, 3, 4, 5, ...more, 99]);
    const applied = results.flatMap(({ stdout }) =>
      JSON.parse(stdout).applied.map(({ id }: { id: string }) => id),
    );
    expect(applied).toHaveLength(19);
    expect(new Set(applied).size).toBe(19);
    expect(await readLocks()).toEqual([]);
    expect(await readInvalid()).toEqual([]);
  });

  test('waits while a direct instance holds the lock, and gives up after the lock wait', async () => {
    const folder = await createFolder({
      '1.0.0-1-create.sql': createEffects,
      '1.0.0-2-stay.ts': moduleText(`${stayQuery} ${effectQuery(2)}`),
    });
    const holder = start(['deploy', 'latest'], folder, directUrl);
    await waitUntil('the direct instance is in its alteration', async () => {
      const rows = await query(`select from pg_stat_activity where datname = current_database()
        and application_name like 'alteration %' and query like '%pg_sleep(600)%'`);
      return rows.length > 0;
    });
    const events: RunEvent[] = [];

    const error = await failureOf(
      deploy({ database: url, folder, lockWaitMs: 300, onEvent: (event) => events.push(event) }),
    );

    expect(error).toMatchObject({
      code: 'lock-held',
      holder: { applicationName: 'alteration deploy latest' },
    });
    expect(events.map(({ type }) => type)).toContain('lock-waiting');
    holder.process.kill('SIGKILL');
    await holder.result;
  });

  test('what an alteration leaves on the connection is not handed to the next one', async () => {
    const folder = await createFolder({
      '1.0.0-1-leave.ts': moduleText(`
        await connection.query(sql.unsafe\`set search_path = elsewhere\`);
        await connection.query(sql.unsafe\`set statement_timeout = '1h'\`);
        await connection.query(sql.unsafe\`create temporary table scratch ()\`);
        await connection.query(sql.unsafe\`prepare kept as select 1\`);
        await connection.query(sql.unsafe\`select pg_advisory_lock(42)\`);
        await connection.query(sql.unsafe\`listen jobs\`);`),
    });
    const events: RunEvent[] = [];

    await deploy({ database: url, folder, onEvent: (event) => events.push(event) });

    const left = events.flatMap((event) => (event.type === 'leaked' ? event.leaks : []));
    expect(left.toSorted()).toEqual([
      'advisory lock 42',
      'prepared statement kept',
      'setting search_path',
      'setting statement_timeout',
      'temporary table scratch',
    ]);
    expect(await readLocks()).toEqual([]);
    const backends = await query<{ pid: number }>(
      "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'",
    );
    expect(backends.length).toBeGreaterThan(0); // the pooler keeps its connections: it is they that are looked at
    const session = await library.status({ database: url, folder });
    expect(session.counts.applied).toBe(1);
    const look = moduleText(`
      const path = await connection.oneFirst(sql.unsafe\`select current_setting('search_path')\`);
      const scratch = await connection.oneFirst(sql.unsafe\`select to_regclass('pg_temp.scratch')::text\`);
      const prepared = await connection.oneFirst(sql.unsafe\`select count(*)::int from pg_prepared_statements where name = 'kept'\`);
      const channels = await connection.anyFirst(sql.unsafe\`select pg_listening_channels()\`);
      await connection.query(sql.unsafe\`create table found as select \${JSON.stringify({ path, scratch, prepared, channels })}::jsonb as value\`);`);
    const second = await createFolder({ '1.0.0-2-look.ts': look });
    await deploy({ database: url, folder: second, historyTable: 'second_history' });
    expect(await query('select value from found')).toEqual([
      { value: { path: '"$user", public', scratch: null, prepared: 0, channels: [] } },
    ]);
  });

  test('an alteration that others keep from its locks is tried again, and they are named', async () => {
    const folder = await createFolder({
      '1.0.0-1-create.sql': createEffects,
      '1.0.0-2-alter.sql': `${effect(2)} alter table effects add column note text;`,
    });
    await deploy({ database: url, folder: await createFolder({ '1.0.0-1-create.sql': createEffects }) });
    const reader = query('begin; select from effects; select pg_sleep(2); commit');
    await waitUntil('the reader reads', async () => {
      const rows = await query(
        "select from pg_locks where relation = 'effects'::regclass and mode = 'AccessShareLock' and pid <> pg_backend_pid()",
      );
      return rows.length > 0;
    });
    const events: RunEvent[] = [];

    await deploy({ database: url, folder, lockTimeoutMs: 300, onEvent: (event) => events.push(event) });

    await reader;
    expect(events.map(({ type }) => type)).toContain('retrying');
    expect(events.find(({ type }) => type === 'blocked')).toMatchObject({
      blockers: [{ relation: 'public.effects', lockMode: 'AccessShareLock' }],
    });
    expect(await readEffects()).toEqual([2]);
  });
});

describe('outside a transaction, through a transaction pooler', () => {
  test.each([['set search_path = elsewhere;'], ["select set_config('search_path', 'elsewhere', false);"]])(
    'a file with "%s" is refused before anything is run',
    async (text) => {
      const folder = await createFolder({
        '1.0.0-1-create.sql': createEffects,
        '1.0.0-2-set.sql': `-- alteration: no-transaction\n${text}\nvacuum;`,
      });

      const error = await failureOf(deploy({ database: url, folder }));

      expect(error).toMatchObject({
        code: 'alteration-unusable',
        problems: [{ file: '1.0.0-2-set.sql', line: 2 }],
        hint: expect.stringContaining('DIRECT_DB_URL'),
      });
      expect(await query("select to_regclass('alteration_history') as history")).toEqual([{ history: null }]);
      expect((await deploy({ database: directUrl, folder })).applied).toHaveLength(2);
    },
  );

  test('a beforeUp that sets something on the session is told so', async () => {
    const folder = await createFolder({
      '1.0.0-1-set.ts': `import { sql } from 'slonik';
export default {
  beforeUp: async (connection) => { await connection.query(sql.unsafe\`set search_path to elsewhere\`); },
  up: async () => {},
};`,
    });

    const error = await failureOf(deploy({ database: url, folder }));

    expect(error).toMatchObject({ code: 'alteration-half-done', phase: 'beforeUp' });
    expect(error).toHaveProperty(
      'message',
      expect.stringContaining('does not hold behind a transaction pooler'),
    );
  });

  test('no statement follows once the connection that holds the lock is lost; the next deploy goes on', async () => {
    const files = {
      '1.0.0-1-create.sql': createEffects,
      '1.0.0-2-stay.sql': `-- alteration: no-transaction
${effect(2)}
do $$ begin perform pg_sleep(0.05) from generate_series(1, 40) where not exists (select from gate); end $$;
${effect(3)}`,
    };
    const folder = await createFolder(files);
    const run = start(['deploy', 'latest'], folder);
    await waitUntil('the statement is under way', async () => {
      const rows = await query(
        "select from pg_stat_activity where datname = current_database() and query like 'do %' and state = 'active'",
      );
      return rows.length > 0;
    });

    const guards = await query<{ pid: number }>(
      `select l.pid from pg_locks as l where locktype = 'advisory' and (classid::bigint << 32) | objid::bigint = '${lockKey({ schema: 'public', table: 'alteration_history' })}'::bigint`,
    );
    for (const { pid } of guards) await query('select pg_terminate_backend($1)', [pid]);

    const { exitCode, stdout } = await run.result;
    expect(guards).toHaveLength(1);
    expect({ exitCode, error: JSON.parse(stdout).error.code }).toEqual({
      exitCode: 7,
      error: 'session-lost',
    });
    expect(await readEffects()).toEqual([2]);
    await query('insert into gate values (true)');
    expect((await deploy({ database: url, folder })).applied.map(({ id }) => id)).toEqual(['2']);
    expect(await readEffects()).toEqual([2, 3]);
  });

  test('a pooler with one connection is refused with what to do', async () => {
    const single = await openPooler({ poolMode: 'transaction', settings: { default_pool_size: 1 } });
    const folder = await createFolder({
      '1.0.0-1-create.sql': createEffects,
      '1.0.0-2-vacuum.sql': '-- alteration: no-transaction\nvacuum effects;',
    });

    const error = await failureOf(deploy({ database: single, folder }));

    expect(error).toMatchObject({ code: 'database-refused', hint: expect.stringContaining('DIRECT_DB_URL') });
    expect(await query('select "timestamp" from alteration_history')).toEqual([{ timestamp: '1' }]);
    expect((await deploy({ database: url, folder })).applied).toHaveLength(1);
  });
});

describe('an instance behind a pooler that is', () => {
  const files = {
    '1.0.0-1-create.sql': createEffects,
    '1.0.0-2-stay.ts': moduleText(`${effectQuery(2)} ${stayQuery}`),
    '1.0.0-3-after.sql': effect(3),
  };

  async function startStaying(folder: string, args: readonly string[] = []): Promise<CliRun> {
    const run = start(['deploy', 'latest', ...args], folder);
    await waitUntil('it is in its alteration', async () => {
      const rows = await query(
        "select from pg_stat_activity where datname = current_database() and query like '%pg_sleep(600)%' and state = 'active' and pid <> pg_backend_pid()",
      );
      return rows.length > 0;
    });
    return run;
  }

  test.each<[string, NodeJS.Signals, readonly string[], number | null]>([
    ['killed', 'SIGKILL', [], null],
    ['told to stop, past its grace,', 'SIGTERM', ['--grace', '200ms'], 143],
  ])(
    '%s leaves nothing of its alteration and no lock; the next deploy finishes',
    async (_, signal, args, code) => {
      const folder = await createFolder(files);
      const run = await startStaying(folder, args);

      run.process.kill(signal);

      expect((await run.result).exitCode).toBe(code);
      await waitUntil('no lock is held', async () => (await readLocks()).length === 0);
      expect(await readEffects()).toEqual([]);
      await query('insert into gate values (true)');
      expect((await deploy({ database: url, folder })).applied.map(({ id }) => id)).toEqual(['2', '3']);
      expect(await readEffects()).toEqual([2, 3]);
    },
  );

  test('overtaken by a rollback stops with exit code 6, and what is next goes on from there', async () => {
    await query('create table held ()');
    const folder = await createFolder({
      '1.0.0-1-create.up.sql': createEffects,
      '1.0.0-1-create.down.sql': 'drop table effects; drop table gate;',
      '1.1.0-2-second.ts': moduleText('await connection.query(sql.unsafe`lock table held`);'),
    });
    await deploy({ database: directUrl, folder, target: '1.0.0' });
    const other = new pg.Client({ connectionString: directUrl });
    await other.connect();
    onTestFinished(() => other.end());
    await other.query('begin; lock table held');
    let rolledBack: Promise<unknown> | undefined;

    const error = await failureOf(
      deploy({
        database: url,
        folder,
        lockTimeoutMs: 100,
        // Between two attempts at an alteration the runner's lock is free, and others have their turn.
        onEvent: ({ type }) => {
          if (type !== 'retrying') return;
          rolledBack ??= rollback({ database: directUrl, folder, target: '0.0.0' }).then(() =>
            other.query('rollback'),
          );
        },
      }),
    );

    await rolledBack;
    expect(error).toMatchObject({ code: 'overtaken' });
    expect(await query('select from alteration_history')).toEqual([]);
    expect((await deploy({ database: url, folder })).applied.map(({ id }) => id)).toEqual(['1', '2']);
  });
});
