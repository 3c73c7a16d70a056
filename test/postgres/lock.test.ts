import pg from 'pg';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { RunEvent } from '../../src/index.ts';
import { lockKey } from '../../src/postgres/lock.ts';
import { type CliRun, startCli } from '../support/cli.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { moduleText } from '../support/module-text.ts';
import { waitUntil } from '../support/wait-until.ts';

const { check, deploy, list, rollback, status, AlterationFailedError, LockHeldError, StoppedError } = library;
const database = await createDatabase();
const { query, url } = database;
const others = 7;

beforeEach(() => emptyDatabase(database));

/** A run of the binary that does not outlive the test. */
function start(args: readonly string[], folder: string): CliRun {
  const run = startCli([...args, '--dir', folder, '--json'], { env: { DB_URL: url } });
  onTestFinished(() => {
    run.process.kill('SIGKILL');
  });
  return run;
}

/** Resolves when the run has written the text on stderr; to be called in the same turn in which it was started. */
async function seen({ process: { stderr } }: CliRun, text: string): Promise<void> {
  let written = '';
  return new Promise((resolve) => {
    stderr?.on('data', (chunk: Buffer) => {
      written += chunk.toString();
      if (written.includes(text)) resolve();
    });
  });
}

/** A condition that holds once all other instances have found the lock taken. */
const allOthersWait = `
  select count(*) >= ${others} from pg_stat_activity
  where datname = current_database() and application_name like 'alteration %' and pid <> pg_backend_pid()
    and query ~ 'advisory_lock|pg_locks'`;

const waitForOthers = `
  while (!(await connection.oneFirst(sql.unsafe\`${allOthersWait}\`))) {
    await connection.query(sql.unsafe\`select pg_stat_clear_snapshot()\`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }`;

const waitForOthersInSql = `
do $$
begin
  while not (${allOthersWait}) loop
    perform pg_sleep(0.01);
    perform pg_stat_clear_snapshot();
  end loop;
end
$$;`;

const effect = (id: number) => `insert into effects values (${id});`;
const effectQuery = (id: number) => `await connection.query(sql.unsafe\`${effect(id)}\`);`;

const createTables = `
create table effects (id int);
create table big as select n, md5(n::text) as word from generate_series(1, 100000) as n;`;

async function readEffects(): Promise<number[]> {
  const rows = await query<{ id: number }>('select id from effects order by id');
  return rows.map(({ id }) => id);
}

describe('eight instances at once on an empty database', () => {
  test.each<[string, Readonly<Record<string, string>>]>([
    ['plain alterations', { '1.0.0-2-second.ts': moduleText(`${waitForOthers} ${effectQuery(2)}`) }],
    [
      'an index that is built concurrently in beforeUp',
      {
        '1.0.0-2-index.ts': `import { sql } from 'slonik';
export default {
  beforeUp: async (connection) => {
    ${waitForOthers}
    await connection.query(sql.unsafe\`create index concurrently if not exists big_word on big (word)\`);
  },
  up: async (connection) => { ${effectQuery(2)} },
};`,
      },
    ],
    [
      'an index that is built concurrently in a file without a transaction',
      {
        '1.0.0-2-index.sql': `-- alteration: no-transaction
${waitForOthersInSql}
create index concurrently if not exists big_word on big (word);
${effect(2)}`,
      },
    ],
  ])('all succeed and apply each alteration once: %s', async (_, files) => {
    const folder = await createFolder({
      '1.0.0-1-create.sql': createTables + effect(1),
      ...files,
      '1.1.0-3-third.sql': effect(3),
      '1.1.0-4-fourth.ts': moduleText(effectQuery(4)),
    });

    const runs = Array.from({ length: others + 1 }, () => start(['deploy', 'latest'], folder));
    const results = await Promise.all(runs.map(({ result }) => result));

    expect(results.map(({ exitCode, stderr }) => (exitCode === 0 ? 0 : stderr))).toEqual(Array(8).fill(0));
    expect(await readEffects()).toEqual([1, 2, 3, 4]);
    const applied = results.map(({ stdout }) => JSON.parse(stdout).applied.length);
    expect(applied.toSorted()).toEqual([0, 0, 0, 0, 0, 0, 0, 4]);
    expect(await query('select count(*)::int from pg_index where not indisvalid')).toEqual([{ count: 0 }]);
  });
});

describe('while one instance alters', () => {
  /** Stays in its alteration until the gate is opened. */
  const files = {
    '1.0.0-1-create.sql': 'create table effects (id int); create table gate (open bool);',
    '1.0.0-2-stay.ts': moduleText(`
      while (!(await connection.exists(sql.unsafe\`select from gate\`))) await new Promise((r) => setTimeout(r, 10));
      ${effectQuery(2)}`),
  };

  const openGate = () => query('insert into gate values (true)');

  /** A run that is in its second alteration, and the process id of its session. */
  async function startHolder(folder: string) {
    const run = start(['deploy', 'latest'], folder);
    const pid = await waitUntil('the instance is in its alteration', async () => {
      const [row] = await query<{ pid: number }>(
        `select pid from pg_stat_activity
        where datname = current_database() and application_name like 'alteration %' and query like '%from gate%'`,
      );
      return row?.pid;
    });
    return { ...run, pid };
  }

  test('another says who holds the lock, and gives up after the lock wait', async () => {
    const folder = await createFolder(files);
    const holder = await startHolder(folder);
    const events: RunEvent[] = [];

    const error = await failureOf(
      deploy({ database: url, folder, lockWaitMs: 150, onEvent: (event) => events.push(event) }),
    );

    const who = {
      pid: holder.pid,
      applicationName: 'alteration deploy latest',
      host: expect.stringMatching(/^[\d.:a-f]+$/),
      role: new URL(url).username,
      since: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    };
    expect(error).toBeInstanceOf(LockHeldError);
    expect(error).toMatchObject({
      holder: who,
      waitedMs: expect.any(Number),
      message: expect.stringMatching(
        new RegExp(`session ${holder.pid} \\("alteration deploy latest" from [\\d.:a-f]+, connected since`),
      ),
    });
    expect((error as { waitedMs: number }).waitedMs).toBeGreaterThanOrEqual(150);
    expect(events.filter(({ type }) => type === 'lock-waiting')).toEqual([
      { type: 'lock-waiting', holder: who, waitedMs: expect.any(Number) },
    ]);
    await openGate();
    expect(await holder.result).toMatchObject({ exitCode: 0 });
  });

  test('another ends with exit code 6 after the lock wait', async () => {
    const folder = await createFolder(files);
    const holder = await startHolder(folder);

    const { exitCode, stdout } = await start(['deploy', '--lock-wait', '150ms'], folder).result;

    expect(exitCode).toBe(6);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'lock-held', exitCode: 6, holder: { pid: holder.pid } },
    });
    await openGate();
    expect(await holder.result).toMatchObject({ exitCode: 0 });
  });

  test('another waits for it, and then finds nothing to do', async () => {
    const folder = await createFolder(files);
    const holder = await startHolder(folder);
    const waiting = Promise.withResolvers<void>();

    const deploying = deploy({
      database: url,
      folder,
      onEvent: ({ type }) => type === 'lock-waiting' && waiting.resolve(),
    });
    await waiting.promise;
    await openGate();

    expect(await deploying).toMatchObject({ applied: [], pending: 0, version: '1.0.0' });
    expect(JSON.parse((await holder.result).stdout).applied).toHaveLength(2);
    expect(await readEffects()).toEqual([2]);
  });

  test('a rollback waits too, and refuses what it was not asked for', async () => {
    const { '1.0.0-1-create.sql': create, '1.0.0-2-stay.ts': stay } = files;
    const folder = await createFolder({
      '1.0.0-1-create.sql': create,
      '1.1.0-2-second.up.sql': effect(1),
      '1.1.0-2-second.down.sql': 'delete from effects where id = 1',
      '1.2.0-3-stay.ts': stay.replace('up:', 'down: async () => {}, up:'),
    });
    await deploy({ database: url, folder, target: '1.1.0' });
    const holder = await startHolder(folder);
    const waiting = Promise.withResolvers<void>();

    const rolling = failureOf(
      rollback({
        database: url,
        folder,
        target: '1.0.0',
        onEvent: ({ type }) => type === 'lock-waiting' && waiting.resolve(),
      }),
    );
    await waiting.promise;
    await openGate();
    const error = await rolling;

    expect(error).toMatchObject({ code: 'rollback-refused', problems: [{ file: '1.2.0-3-stay.ts' }] });
    await holder.result;
    expect(await readEffects()).toEqual([1, 2]);
  });

  test('one that waits stops at once when it is asked to', async () => {
    const folder = await createFolder(files);
    const holder = await startHolder(folder);
    const stop = new AbortController();

    const error = await failureOf(
      deploy({
        database: url,
        folder,
        stop: stop.signal,
        onEvent: ({ type }) => type === 'lock-waiting' && stop.abort(new StoppedError('SIGTERM')),
      }),
    );

    expect(error).toBeInstanceOf(StoppedError);
    await openGate();
    expect(await holder.result).toMatchObject({ exitCode: 0 });
  });

  test('one that waits ends with exit code 143 at SIGTERM', async () => {
    const folder = await createFolder(files);
    const holder = await startHolder(folder);

    const waiter = start(['deploy'], folder);
    await seen(waiter, 'waiting for another instance');
    waiter.process.kill('SIGTERM');

    expect(await waiter.result).toMatchObject({ exitCode: 143 });
    await openGate();
    expect(await holder.result).toMatchObject({ exitCode: 0 });
  });

  test('list, status and check answer at once, and status tells who it is', async () => {
    const folder = await createFolder(files);
    const holder = await startHolder(folder);

    const listed = await list({ database: url, folder });
    const seen = await status({ database: url, folder });
    const checked = await check({ database: url, folder });

    expect(listed.alterations.map(({ state }) => state)).toEqual(['applied', 'pending']);
    expect(seen.lock).toMatchObject({ pid: holder.pid, applicationName: 'alteration deploy latest' });
    expect(checked.result).toBe('pending');
    await openGate();
    await holder.result;
    expect((await status({ database: url, folder })).lock).toBeNull();
  });

  test('another history of the same database is not held up', async () => {
    const holder = await startHolder(await createFolder(files));
    const folder = await createFolder({ '1.0.0-1-other.sql': 'create table other (id int)' });

    const report = await deploy({ database: url, folder, historyTable: 'other_history', lockWaitMs: 0 });

    expect(report.applied).toHaveLength(1);
    await openGate();
    await holder.result;
  });
});

describe('a script that releases the lock', () => {
  const release = 'await connection.query(sql.unsafe`select pg_advisory_unlock_all()`);';

  test.each<[string, string, string, { effects: number[]; ids: string[] }]>([
    [
      'in up',
      '1.0.0-2-unlock.ts',
      moduleText(`${effectQuery(2)} ${release}`),
      { effects: [2], ids: ['1', '2'] },
    ],
    [
      'in an SQL file',
      '1.0.0-2-unlock.sql',
      `${effect(2)} select pg_advisory_unlock_all();`,
      { effects: [2], ids: ['1', '2'] },
    ],
    [
      'in beforeUp',
      '1.0.0-2-unlock.ts',
      `import { sql } from 'slonik';
export default {
  beforeUp: async (connection) => { ${effectQuery(2)} ${release} },
  up: async (connection) => { ${effectQuery(20)} },
};`,
      { effects: [2], ids: ['1'] },
    ],
  ])('ends the run before anything else is altered: %s', async (_, file, text, left) => {
    const folder = await createFolder({
      '1.0.0-1-create.sql': 'create table effects (id int);',
      [file]: text,
      '1.0.0-3-later.sql': effect(3),
    });

    const error = await failureOf(deploy({ database: url, folder }));

    expect(error).toBeInstanceOf(AlterationFailedError);
    expect(error).toMatchObject({
      message: `"${file}" released the lock that keeps other instances out.`,
      hint: expect.stringContaining('pg_advisory_unlock_all'),
    });
    expect(await readEffects()).toEqual(left.effects);
    const rows = await query<{ timestamp: string }>('select "timestamp" from alteration_history order by 1');
    expect(rows.map(({ timestamp }) => timestamp)).toEqual(left.ids);
  });
});

describe('with nothing pending', () => {
  const files = { '1.0.0-1-create.sql': 'create table effects (id int)', 'next-2-later.sql': effect(2) };

  test('no lock is asked for', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    onTestFinished(() => client.end());
    const key = lockKey({ schema: 'public', table: 'alteration_history' });
    await client.query('select pg_advisory_lock($1)', [key]);

    const report = await deploy({ database: url, folder, lockWaitMs: 0 });
    const error = await failureOf(deploy({ database: url, folder, target: 'next', lockWaitMs: 0 }));

    expect(report.applied).toEqual([]);
    expect(error).toBeInstanceOf(LockHeldError);
  });

  test('nothing is written: a role that may only read is enough', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    const reader = await createReader();

    const deployed = await deploy({ database: reader, folder });
    const checked = await check({ database: reader, folder });

    expect(deployed).toMatchObject({ applied: [], version: '1.0.0' });
    expect(checked.result).toBe('up-to-date');
  });

  test('not even a history table: nor by list, status, check and a dry run', async () => {
    const folder = await createFolder({ 'next-1-create.sql': files['1.0.0-1-create.sql'] });
    const reader = await createReader();

    await deploy({ database: reader, folder });
    await deploy({ database: reader, folder, target: 'next', dryRun: true });
    await list({ database: reader, folder });
    await status({ database: reader, folder });
    await check({ database: reader, folder });

    expect(await query(`select to_regclass('public.alteration_history') as found`)).toEqual([
      { found: null },
    ]);
  });

  /** A connection string of a role whose every transaction is read-only. */
  async function createReader(): Promise<string> {
    const role = `reader_${database.name}`;
    await query(`create role ${role} login password 'reader'`);
    onTestFinished(async () => {
      await query(`drop owned by ${role}; drop role ${role}`);
    });
    await query(`alter role ${role} set default_transaction_read_only = on`);
    await query(`grant select on all tables in schema public to ${role}`);
    const reader = new URL(url);
    reader.username = role;
    reader.password = 'reader';
    return reader.href;
  }
});
