import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { RunEvent } from '../../src/index.ts';
import { type CliRun, runCli, startCli } from '../support/cli.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { waitUntil } from '../support/wait-until.ts';

const { deploy, rollback, AlterationHalfDoneError } = library;
const database = await createDatabase();
const { query, url } = database;

beforeEach(async () => {
  await emptyDatabase(database);
  await query(`
    create table t (id int, code text);
    insert into t select n, n from generate_series(1, 9) as n;
    create table effects (id int)`);
});

type Files = Readonly<Record<string, string>>;

const noTransaction = '-- alteration: no-transaction\n';
const effect = (id: number) => `insert into effects values (${id})`;
const ask = (text: string) => `await connection.query(sql.unsafe\`${text}\`);`;

/** A module with these bodies; in them the connection is `connection`. */
const beforeUp = (body: string, up = ask(effect(9))) => `import { sql } from 'slonik';
export default { beforeUp: async (connection) => { ${body} }, up: async (connection) => { ${up} } };`;

/** The statement in a no-transaction file, and sent by a beforeUp. */
const placesOf = (statement: string): [string, Files][] => [
  ['a file', { '1.1.0-2-work.sql': `${noTransaction}${statement};\n${effect(9)};` }],
  ['a beforeUp', { '1.1.0-2-work.ts': beforeUp(ask(statement)) }],
];

async function readEffects(): Promise<number[]> {
  const rows = await query<{ id: number }>('select id from effects order by id');
  return rows.map(({ id }) => id);
}

const readRows = () => query('select "timestamp", state from alteration_history order by "timestamp"');

/** The indexes of the test's own tables, `!` after an invalid one. */
async function listIndexes(): Promise<readonly string[]> {
  const rows = await query<{ name: string }>(`
    select relname || case when indisvalid then '' else '!' end as name
    from pg_index join pg_class on pg_class.oid = indexrelid
    where relnamespace = 'public'::regnamespace and relname <> 'alteration_history_pkey' order by relname`);
  return rows.map(({ name }) => name);
}

interface Holder {
  readonly pid: number;
  readonly release: () => Promise<unknown>;
}

/** A session with an open transaction that has done this; it keeps its snapshot where it is a repeatable read. */
async function hold(statement: string, isolation = 'read committed'): Promise<Holder> {
  const client = new pg.Client({ connectionString: url, application_name: 'reporting' });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  await client.query(`begin isolation level ${isolation}`);
  await client.query(statement);
  return { pid: rows[0]?.pid ?? 0, release: () => client.query('commit') };
}

/** A transaction that reads with a snapshot older than what comes next. */
const holdReader = () => hold('select from t', 'repeatable read');

/** Process id of the runner's session that waits for a lock of this kind. */
const runnerWaitsFor = (event: 'virtualxid' | 'relation') =>
  waitUntil(`the runner waits for a ${event}`, async () => {
    const [row] = await query<{ pid: number }>(
      `select pid from pg_stat_activity where datname = current_database()
        and application_name like 'alteration %' and wait_event = $1`,
      [event],
    );
    return row?.pid;
  });

/** A run of the binary that does not outlive the test. */
function start(args: readonly string[], folder: string): CliRun {
  const run = startCli([...args, '--json', '--dir', folder], { env: { DB_URL: url } });
  onTestFinished(() => {
    run.process.kill('SIGKILL');
  });
  return run;
}

/** Kills the run, and waits until the server has noticed. */
async function kill(run: CliRun, pid: number): Promise<void> {
  run.process.kill('SIGKILL');
  expect(await run.result).toMatchObject({ signal: 'SIGKILL' });
  await waitUntil('the session is gone', async () => {
    const rows = await query('select from pg_stat_activity where pid = $1', [pid]);
    return rows.length === 0;
  });
}

/** The same promise, to be awaited later. */
function begin<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

const createIndex = 'create index concurrently i on t (id)';

describe('the lock timeout', () => {
  const tell = `insert into told values (current_setting('lock_timeout'))`;
  const told = async () => {
    const rows = await query<{ value: string }>('select value from told');
    return rows.map(({ value }) => value);
  };

  beforeEach(() => query('create table told (value text)'));

  test.each<[string, Files]>([
    ...placesOf(createIndex),
    [
      'a file with a timeout of its own',
      {
        '1.1.0-2-work.sql': `-- alteration: no-transaction lock-timeout=100ms\n${createIndex};\n${effect(9)};`,
      },
    ],
    [
      'a module with a timeout of its own',
      { '1.1.0-2-work.ts': `export const lockTimeout = '100ms';\n${beforeUp(ask(createIndex))}` },
    ],
  ])('does not end a wait that disturbs nobody: of an index for a reader, in %s', async (name, files) => {
    const folder = await createFolder(files);
    const reader = await holdReader();
    const events: RunEvent[] = [];
    const lockTimeoutMs = name.includes('own') ? 60_000 : 100;

    const deploying = begin(
      deploy({ database: url, folder, lockTimeoutMs, onEvent: (event) => events.push(event) }),
    );
    await runnerWaitsFor('virtualxid');
    await pause(500); // lock timeouts pass
    expect(await listIndexes()).toEqual(['i!']);
    await waitUntil('it tells who blocks it', async () =>
      events.some(
        (event) => event.type === 'blocked' && event.blockers.some(({ pid }) => pid === reader.pid),
      ),
    );
    await reader.release();
    await deploying;

    expect(await listIndexes()).toEqual(['i']);
    expect(events.filter(({ type }) => type === 'retrying')).toEqual([]);
    expect(await readEffects()).toEqual([9]);
  });

  test('holds for what comes before and after it', async () => {
    const folder = await createFolder({
      '1.1.0-2-work.sql': `${noTransaction}${tell};\n${createIndex};\n${tell};\ndrop index concurrently i;\ndo $$ begin ${tell}; end $$;`,
      '1.1.0-3-work.ts': beforeUp(ask(tell) + ask(createIndex) + ask(tell), ask(tell)),
    });

    await deploy({ database: url, folder, lockTimeoutMs: 700 });

    expect(await told()).toEqual(Array(6).fill('700ms'));
  });

  test('holds after one that failed, which the script has dealt with', async () => {
    await query('insert into t values (1)');
    const folder = await createFolder({
      '1.1.0-2-work.ts': beforeUp(`
        await connection.query(sql.unsafe\`create unique index concurrently i on t (id)\`).catch(() => undefined);
        ${ask(tell)}`),
    });

    await deploy({ database: url, folder, lockTimeoutMs: 700 });

    expect(await told()).toEqual(['700ms']);
  });

  test('that a script has set itself ends the wait, and it is begun again', async () => {
    const folder = await createFolder({
      '1.1.0-2-work.ts': beforeUp(ask(`set lock_timeout = '100ms'`) + ask(createIndex)),
    });
    const reader = await holdReader();
    const retries: RunEvent[] = [];

    await deploy({
      database: url,
      folder,
      onEvent: (event) => {
        if (event.type !== 'retrying') return;
        retries.push(event);
        void reader.release();
      },
    });

    expect(retries).not.toEqual([]);
    expect(await listIndexes()).toEqual(['i']);
  });

  test('holds for other statements of such a file', async () => {
    const folder = await createFolder({
      '1.1.0-2-work.sql': `${noTransaction}${createIndex};\nalter table t add column more int;`,
    });
    const reader = await hold('lock table t in access share mode');
    const retries: RunEvent[] = [];

    await deploy({
      database: url,
      folder,
      lockTimeoutMs: 100,
      onEvent: (event) => {
        if (event.type !== 'retrying') return;
        retries.push(event);
        void reader.release();
      },
    });

    expect(retries).not.toEqual([]);
    expect(await listIndexes()).toEqual(['i']);
  });
});

describe('a unique index that is built on duplicates', () => {
  const statements = [
    'create unique index concurrently i on t (id)',
    'create unique index concurrently if not exists i on t (id)',
  ];

  test.each<[string, string, Files]>(
    statements.flatMap((statement) =>
      placesOf(statement).map(([place, files]): [string, string, Files] => [statement, place, files]),
    ),
  )('leaves work for the next deploy, once they are gone: "%s" in %s', async (_, place, files) => {
    await query('insert into t values (1)');
    const folder = await createFolder(files);

    const { exitCode, stdout } = await runCli(['deploy', '--json', '--dir', folder], {
      env: { DB_URL: url },
    });

    expect(exitCode).toBe(5);
    expect(JSON.parse(stdout)).toMatchObject({
      error: {
        code: 'alteration-half-done',
        phase: place === 'a file' ? 'up' : 'beforeUp',
        database: { sqlState: '23505' },
      },
    });
    expect(await listIndexes()).toEqual(['i!']);
    expect(await failureOf(deploy({ database: url, folder }))).toBeInstanceOf(AlterationHalfDoneError);
    expect(await listIndexes()).toEqual(['i!']);
    await query('delete from t where ctid = (select max(ctid) from t where id = 1)');
    const report = await deploy({ database: url, folder });

    expect(report.applied).toHaveLength(1);
    expect(await listIndexes()).toEqual(['i']);
    expect(await readEffects()).toEqual([9]);
    expect(await readRows()).toEqual([{ timestamp: '2', state: 'applied' }]);
  });

  test('is built as it says once its statement is edited', async () => {
    await query('insert into t values (1, 1)');
    const name = '1.1.0-2-work.sql';
    const statement = (column: string) =>
      `${noTransaction}create unique index concurrently if not exists i on t (${column});`;
    await failureOf(deploy({ database: url, folder: await createFolder({ [name]: statement('id') }) }));
    await query('update t set code = ctid::text');

    await deploy({ database: url, folder: await createFolder({ [name]: statement('code') }) });

    expect(await listIndexes()).toEqual(['i']);
    expect(await query('select pg_get_indexdef($1::regclass) as text', ['i'])).toEqual([
      { text: expect.stringContaining('(code)') },
    ]);
  });
});

describe('an index that is there before', () => {
  test('is no work of the statement, however often it is deployed', async () => {
    await query('create index i on t (code)');
    const folder = await createFolder({ '1.1.0-2-work.sql': `${noTransaction}${createIndex};` });

    for (const _ of [1, 2]) {
      expect(await failureOf(deploy({ database: url, folder }))).toMatchObject({
        code: 'alteration-half-done',
        database: { sqlState: '42P07' },
      });
    }
  });

  test.each(placesOf('create index concurrently if not exists i on t (id)'))(
    'and belongs to another table is not taken for it: in %s',
    async (_, files) => {
      await query('create table u (id int); create index i on u (id)');

      const error = await failureOf(deploy({ database: url, folder: await createFolder(files) }));

      expect(error).toBeInstanceOf(AlterationHalfDoneError);
      expect(error).toMatchObject({ message: expect.stringContaining('it is not an index of "t"') });
    },
  );
});

describe('what a killed run has left', () => {
  const readT = 'select from t';
  const write = 'insert into t values (10)';
  const createPartitions = `create table p (id int) partition by range (id); create table p1 partition of p for values from (0) to (10)`;
  const listPartitions = () =>
    query(`select inhrelid::regclass::text from pg_inherits where inhparent = 'p'::regclass`);

  test.each<[string, string, string, Files]>([
    ...[createIndex, 'create index concurrently if not exists i on t (id)'].flatMap((statement) =>
      placesOf(statement).map(([place, files]): [string, string, string, Files] => [
        statement,
        place,
        'i!',
        files,
      ]),
    ),
  ])(
    'of "%s" in %s is an invalid index, and the next deploy leaves a valid one',
    async (_, __, left, files) => {
      const folder = await createFolder(files);
      const writer = await hold(write);
      const run = start(['deploy'], folder);
      const pid = await runnerWaitsFor('virtualxid');

      await kill(run, pid);
      await writer.release();

      expect(await listIndexes()).toEqual([left]);
      await deploy({ database: url, folder });
      expect(await listIndexes()).toEqual(['i']);
      expect(await readEffects()).toEqual([9]);
    },
  );

  test.each<[string, string, string, string, Files]>(
    (
      [
        ['reindex index concurrently i', 'i_ccnew!', write],
        ['reindex (concurrently, verbose) table t', 'i_ccold!', readT],
      ] as const
    ).flatMap(([statement, left, inTheWay]) =>
      placesOf(statement).map(([place, files]): [string, string, string, string, Files] => [
        statement,
        place,
        left,
        inTheWay,
        files,
      ]),
    ),
  )('of "%s" in %s is "%s", and the next deploy takes it away', async (_, __, left, inTheWay, files) => {
    await query('create index i on t (id)');
    const folder = await createFolder(files);
    const holder = await hold(inTheWay);
    const run = start(['deploy'], folder);
    const pid = await runnerWaitsFor('virtualxid');

    await kill(run, pid);
    await holder.release();

    expect((await listIndexes()).filter((name) => name === left)).toHaveLength(1);
    await deploy({ database: url, folder });
    expect(await listIndexes()).toEqual(['i']);
    expect(await readEffects()).toEqual([9]);
  });

  test.each(placesOf('alter table p detach partition p1 concurrently'))(
    'of a partition that is detached concurrently, in %s, is finalized by the next deploy',
    async (_, files) => {
      await query(createPartitions);
      const folder = await createFolder(files);
      const reader = await hold('select from p');
      const run = start(['deploy'], folder);
      const pid = await runnerWaitsFor('virtualxid');

      await kill(run, pid);
      await reader.release();

      expect(await query('select inhdetachpending from pg_inherits')).toEqual([{ inhdetachpending: true }]);
      await deploy({ database: url, folder });
      expect(await listPartitions()).toEqual([]);
      expect(await readEffects()).toEqual([9]);
    },
  );

  test('a partition is finalized behind a reader, who is not kept waiting for longer than the lock timeout', async () => {
    await query(createPartitions);
    const folder = await createFolder(
      Object.fromEntries(placesOf('alter table p detach partition p1 concurrently').slice(0, 1))['a file'] ??
        {},
    );
    const reader = await hold('select from p');
    const run = start(['deploy'], folder);
    const pid = await runnerWaitsFor('virtualxid');
    await kill(run, pid);
    const retries: RunEvent[] = [];

    await deploy({
      database: url,
      folder,
      lockTimeoutMs: 100,
      onEvent: (event) => {
        if (event.type !== 'retrying') return;
        retries.push(event);
        if (event.attempts === 2) void reader.release();
      },
    });

    expect(retries.length).toBeGreaterThan(1);
    expect(await listPartitions()).toEqual([]);
    expect(await readEffects()).toEqual([9]);
  });

  test('a partition that is detached behind its own reader keeps no other reader waiting for long', async () => {
    await query(createPartitions);
    const folder = await createFolder({
      '1.1.0-2-work.sql': `${noTransaction}alter table p detach partition p1 concurrently;\n${effect(9)};`,
    });
    const reader = await hold('select from p1');
    const deploying = begin(deploy({ database: url, folder, lockTimeoutMs: 100 }));
    await runnerWaitsFor('relation');

    const answered = await Promise.race([query('select from p1').then(() => true), pause(5_000, false)]);
    await reader.release();
    await deploying;

    expect(answered).toBe(true);
    expect(await listPartitions()).toEqual([]);
    expect(await readEffects()).toEqual([9]);
  });

  test('a session that still builds the index is waited for, and told', async () => {
    const folder = await createFolder({
      '1.1.0-2-work.sql': `${noTransaction}create index concurrently if not exists i on t (id);`,
    });
    const writer = await hold(write);
    const client = new pg.Client({ connectionString: url, application_name: 'left behind' });
    await client.connect();
    onTestFinished(() => client.end());
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    const building = begin(client.query(createIndex));
    await waitUntil('it builds', async () => (await listIndexes()).includes('i!'));
    const events: RunEvent[] = [];

    const deploying = begin(deploy({ database: url, folder, onEvent: (event) => events.push(event) }));
    const isTold = () =>
      events.some(
        (event) => event.type === 'blocked' && event.blockers.some(({ pid }) => pid === rows[0]?.pid),
      );
    const told = await waitUntil('it is told', async () => isTold()).catch(() => false);
    await writer.release();
    await building;
    await deploying;

    expect(await listIndexes()).toEqual(['i']);
    expect(told).toBe(true);
  });
});

describe('a statement that has come to its end', () => {
  const cases: [string, string, string, string][] = [
    [createIndex, 'select', 'insert into t values (10)', 'select 1'],
    ['drop index concurrently k', 'create index k on t (id)', 'select from t', 'select 1'],
    [
      'alter table p detach partition p1 concurrently',
      'create table p (id int) partition by range (id); create table p1 partition of p for values from (0) to (10)',
      'select from p',
      'select 1',
    ],
  ];

  /** The run at the point where the statement is done, and its journal is held up by a lock on the history. */
  async function stopBeforeJournal(
    inTheWay: string,
    begun: () => unknown,
  ): Promise<{ pid: number; locker: Holder }> {
    const holder = await hold(inTheWay);
    begun();
    await runnerWaitsFor('virtualxid');
    const locker = await hold('lock table alteration_history in share mode');
    await holder.release();
    return { pid: await runnerWaitsFor('relation'), locker };
  }

  const filesOf = (statement: string) => ({
    '1.0.0-1-first.sql': 'select 1',
    '1.1.0-2-work.sql': `${noTransaction}${effect(1)};\n${statement};\n${effect(2)};`,
  });

  test.each(cases)(
    'is not done again when the run is killed before its journal says so: %s',
    async (statement, before, inTheWay) => {
      await query(before);
      const folder = await createFolder(filesOf(statement));
      await deploy({ database: url, folder, target: '1.0.0' });
      let run: CliRun | undefined;
      const { pid, locker } = await stopBeforeJournal(inTheWay, () => {
        run = start(['deploy', '--lock-timeout', '5m'], folder);
      });
      if (!run) throw new Error('it was not started');

      await kill(run, pid);
      await locker.release();

      expect(
        await query(
          `select state, array_length(statement_digests, 1) as done, statement_under_way is not null as marked
        from alteration_history where "timestamp" = '2'`,
        ),
      ).toEqual([{ state: 'started', done: 1, marked: true }]);
      await deploy({ database: url, folder });
      expect(await readEffects()).toEqual([1, 2]);
      expect((await listIndexes()).filter((name) => name.endsWith('!'))).toEqual([]);
      expect(
        await query(
          `select state, statement_digests, statement_under_way from alteration_history where "timestamp" = '2'`,
        ),
      ).toEqual([{ state: 'applied', statement_digests: null, statement_under_way: null }]);
    },
  );

  test('is not done again on its way down either', async () => {
    const folder = await createFolder({
      '1.0.0-1-first.sql': 'select 1',
      '1.1.0-2-work.up.sql': 'create index i on t (id);',
      '1.1.0-2-work.down.sql': `${noTransaction}${effect(1)};\ndrop index concurrently i;\n${effect(2)};`,
    });
    await deploy({ database: url, folder });
    let run: CliRun | undefined;
    const { pid, locker } = await stopBeforeJournal('select from t', () => {
      run = start(['rollback', '1.0.0', '--yes', '--lock-timeout', '5m'], folder);
    });
    if (!run) throw new Error('it was not started');

    await kill(run, pid);
    await locker.release();

    expect(await listIndexes()).toEqual([]);
    await rollback({ database: url, folder, target: '1.0.0' });
    expect(await readEffects()).toEqual([1, 2]);
    expect(await readRows()).toEqual([{ timestamp: '1', state: 'applied' }]);
  });

  test.each(cases)(
    'is not done again when its journal had to wait for others: %s',
    async (statement, before, inTheWay) => {
      await query(before);
      const folder = await createFolder(filesOf(statement));
      await deploy({ database: url, folder, target: '1.0.0' });
      let deploying: Promise<unknown> | undefined;
      const { locker } = await stopBeforeJournal(inTheWay, () => {
        deploying = begin(deploy({ database: url, folder, lockTimeoutMs: 100 }));
      });
      await pause(400); // lock timeouts pass
      await locker.release();

      await deploying;

      expect(await readEffects()).toEqual([1, 2]);
      expect((await listIndexes()).filter((name) => name.endsWith('!'))).toEqual([]);
    },
  );
});

describe('four instances that wait while one builds an index concurrently on 300,000 rows', () => {
  const statement = 'create index concurrently big_word on big (word)';
  const waiting = 4;

  test.each<[string, Files]>([
    ['a file', { '1.1.0-2-work.sql': `${noTransaction}${statement};\n${effect(2)};` }],
    ['a beforeUp', { '1.1.0-2-work.ts': beforeUp(ask(statement), ask(effect(2))) }],
  ])('all converge, and it is applied once: in %s', async (_, files) => {
    const folder = await createFolder({
      '1.0.0-1-first.sql': effect(1),
      ...files,
      '1.2.0-3-third.sql': effect(3),
    });
    await query('create table big as select n, md5(n::text) as word from generate_series(1, 300000) as n');
    await deploy({ database: url, folder, target: '1.0.0' });
    const writer = await hold('insert into big values (0)'); // the build begins once all wait
    const first = start(['deploy'], folder);
    const pid = await runnerWaitsFor('virtualxid');
    const others = Array.from({ length: waiting }, () => start(['deploy'], folder));
    await waitUntil('the others wait for the lock', async () => {
      const rows = await query(
        `select from pg_stat_activity where datname = current_database()
          and application_name = 'alteration deploy latest' and pid <> $1 and query ~ 'advisory_lock|pg_locks'`,
        [pid],
      );
      return rows.length === waiting;
    });

    await writer.release();

    const results = await Promise.all([first, ...others].map(({ result }) => result));
    expect(results.map(({ exitCode, stderr }) => (exitCode === 0 ? 0 : stderr))).toEqual(Array(5).fill(0));
    expect(results.map(({ stdout }) => JSON.parse(stdout).applied.length)).toEqual([2, 0, 0, 0, 0]);
    expect(await listIndexes()).toEqual(['big_word']);
    expect(await readEffects()).toEqual([1, 2, 3]);
    expect(await readRows()).toHaveLength(3);
  });
});
