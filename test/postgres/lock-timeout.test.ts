import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { createPool } from 'slonik';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { RunEvent } from '../../src/index.ts';
import { createHistoryTableOfVersion, historyTableVersion } from '../../src/postgres/history-table.ts';
import { queryableOf } from '../../src/postgres/slonik.ts';
import { type CliRun, runCli, startCli } from '../support/cli.ts';
import { createRole } from '../support/create-role.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { moduleText } from '../support/module-text.ts';
import { hasTerminals, startInTerminal } from '../support/terminal.ts';
import { waitUntil } from '../support/wait-until.ts';

const { deploy, rollback } = library;
const { AlterationFailedError, AlterationHalfDoneError, HistoryBlockedError, StoppedError } = library;
const database = await createDatabase();
const { query, url } = database;

beforeEach(async () => {
  await emptyDatabase(database);
  await query('create table t (id int); create table effects (id int); create table gate (open bool)');
  await query('create sequence attempts'); // goes on counting where a transaction is rolled back
});

type Files = Readonly<Record<string, string>>;

const noTransaction = '-- alteration: no-transaction\n';
const count = `select nextval('attempts');`;
const effect = (id: number) => `insert into effects values (${id});`;
const alter = 'alter table t add column more int;';
const ask = (text: string) => `await connection.query(sql.unsafe\`${text.replace(/;$/, '')}\`);`;
/** Stays until the gate is open, also within one transaction. */
const stay = `do $$ begin while not exists (select from gate) loop perform pg_sleep(0.01); end loop; end $$;`;
const openGate = () => query('insert into gate values (true)');

async function readEffects(): Promise<number[]> {
  const rows = await query<{ id: number }>('select id from effects order by id');
  return rows.map(({ id }) => id);
}

async function countAttempts(): Promise<number> {
  const [row] = await query<{ count: number }>(
    'select (case when is_called then last_value else 0 end)::int as count from attempts',
  );
  return row?.count ?? 0;
}

async function isAltered(): Promise<boolean> {
  const rows = await query(`select from pg_attribute where attrelid = 't'::regclass and attname = 'more'`);
  return rows.length > 0;
}

const readRows = () => query('select "timestamp", state from alteration_history order by "timestamp"');

interface Holder {
  readonly pid: number;
  readonly query: (text: string) => Promise<unknown>;
  readonly release: () => Promise<unknown>;
}

/** A session with an open transaction that has done this. */
async function hold(statement: string): Promise<Holder> {
  const client = new pg.Client({ connectionString: url, application_name: 'reporting' });
  client.on('error', () => undefined);
  await client.connect();
  onTestFinished(() => client.end());
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  await client.query('begin');
  await client.query(statement);
  return {
    pid: rows[0]?.pid ?? 0,
    query: (text) => client.query(text),
    release: () => client.query('commit'),
  };
}

const read = 'lock table t in access share mode';

type Retrying = Extract<RunEvent, { type: 'retrying' }>;

/** Collects events; does something when an alteration is tried again for the nth time. */
function watch(onRetry: Readonly<Record<number, () => Promise<unknown>>> = {}) {
  const events: RunEvent[] = [];
  const done: Promise<unknown>[] = [];
  return {
    onEvent: (event: RunEvent) => {
      events.push(event);
      if (event.type === 'retrying') done.push(onRetry[event.attempts]?.() ?? Promise.resolve());
    },
    retries: () => events.filter((event): event is Retrying => event.type === 'retrying'),
    blocked: () => events.flatMap((event) => (event.type === 'blocked' ? [event.blockers] : [])),
    done: () => Promise.all(done),
  };
}

const timedOut = 'canceling statement due to lock timeout';

/** Attempts that failed; on a busy machine one more than it takes to see the others go. */
const atLeast = (...retries: readonly unknown[]) => expect.arrayContaining([...retries]);

const retry = (attempts: number, alteration = expect.any(String), reason = timedOut) => ({
  type: 'retrying',
  alteration,
  attempts,
  reason,
  pauseMs: expect.any(Number),
});

/** Waits until a session of the runner waits for a lock. */
const runnerWaits = () =>
  waitUntil('the runner waits for a lock', async () => {
    const rows = await query(
      `select from pg_stat_activity where datname = current_database()
        and application_name like 'alteration %' and wait_event_type = 'Lock'`,
    );
    return rows.length > 0;
  });

/** Waits until an alteration is in `stay`. */
const runnerStays = () =>
  waitUntil('the alteration is under way', async () => {
    const rows = await query(
      `select from pg_stat_activity where datname = current_database()
        and application_name like 'alteration %' and state = 'active' and query ~ 'from gate'`,
    );
    return rows.length > 0;
  });

/** The same promise, to be awaited later. */
function begin<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}

/** A run of the binary that does not outlive the test. */
function start(args: readonly string[], folder: string): CliRun {
  const run = startCli([...args, '--dir', folder], { env: { DB_URL: url } });
  onTestFinished(() => {
    run.process.kill('SIGKILL');
  });
  return run;
}

describe('an alteration behind a reader', () => {
  const together = (...texts: readonly string[]) =>
    `await Promise.all([${texts.map((text) => `connection.query(sql.unsafe\`${text}\`)`).join(', ')}]);`;

  test.each<[string, Files]>([
    ['an SQL file', { '1.0.0-1-alter.sql': `${count}${effect(1)}\n${alter}\n${effect(2)}` }],
    [
      'a module',
      { '1.0.0-1-alter.ts': moduleText(ask(count) + ask(effect(1)) + ask(alter) + ask(effect(2))) },
    ],
    [
      'a module that makes its queries at once',
      { '1.0.0-1-alter.ts': moduleText(together(count, effect(1), alter, effect(2))) },
    ],
    [
      'a module that has it in a nested transaction',
      {
        '1.0.0-1-alter.ts': moduleText(
          `${ask(count)}${ask(effect(1))}
          await connection.transaction(async (connection) => { ${ask(alter)}${ask(effect(2))} });`,
        ),
      },
    ],
    [
      'a module that wraps the error in its own',
      {
        '1.0.0-1-alter.ts': moduleText(
          `${ask(count)}${ask(effect(1))}
          try { ${ask(alter)} } catch (cause) { throw new Error('cannot alter', { cause }); }
          ${ask(effect(2))}`,
        ),
      },
    ],
    [
      'a module that swallows the error',
      {
        '1.0.0-1-alter.ts': moduleText(
          `${ask(count)}${ask(effect(1))}${ask(effect(2))} try { ${ask(alter)} } catch {}`,
        ),
      },
    ],
    [
      'a module that swallows the error and goes on',
      {
        '1.0.0-1-alter.ts': moduleText(
          `${ask(count)}${ask(effect(1))} try { ${ask(alter)} } catch {} ${ask(effect(2))}`,
        ),
      },
    ],
  ])('is rolled back and tried again until the reader is gone: %s', async (_, files) => {
    const folder = await createFolder({ ...files, '1.1.0-2-later.sql': effect(3) });
    const reader = await hold(read);
    const watched = watch({ 2: reader.release });

    const report = await deploy({ database: url, folder, lockTimeoutMs: 100, onEvent: watched.onEvent });

    await watched.done();
    expect(report.applied).toHaveLength(2);
    expect(watched.retries()).toEqual(
      atLeast(
        retry(1, Object.keys(files)[0], expect.any(String)),
        retry(2, Object.keys(files)[0], expect.any(String)),
      ),
    );
    expect(await isAltered()).toBe(true);
    expect(await countAttempts()).toBe(watched.retries().length + 1);
    expect(await readEffects()).toEqual([1, 2, 3]);
    expect(await readRows()).toEqual([
      { timestamp: '1', state: 'applied' },
      { timestamp: '2', state: 'applied' },
    ]);
  });

  test('holds no lock between its attempts', async () => {
    await query('create table taken (id int)');
    const folder = await createFolder({
      '1.0.0-1-alter.sql': `lock table taken in access exclusive mode; ${alter}`,
    });
    const reader = await hold(read);
    const watched = watch({
      1: async () => {
        await query('insert into taken values (1)');
        await reader.release();
      },
    });

    await deploy({ database: url, folder, lockTimeoutMs: 100, onEvent: watched.onEvent });

    await watched.done();
    expect(await isAltered()).toBe(true);
    expect(await query('select id from taken')).toEqual([{ id: 1 }]);
  });

  test.each<[string, Files]>([
    [
      'an SQL file',
      { '1.0.0-1-alter.up.sql': 'select 1', '1.0.0-1-alter.down.sql': `${count}${effect(1)}${alter}` },
    ],
    [
      'a module',
      {
        '1.0.0-1-alter.ts': `import { sql } from 'slonik';
          export default { up: async () => {}, down: async (connection) => { ${ask(count)}${ask(effect(1))}${ask(alter)} } };`,
      },
    ],
  ])('is tried again on its way down: %s', async (_, files) => {
    const folder = await createFolder({ '0.9.0-0-first.sql': 'select 1', ...files });
    await deploy({ database: url, folder });
    const reader = await hold(read);
    const watched = watch({ 2: reader.release });

    await rollback({ database: url, folder, target: '0.9.0', lockTimeoutMs: 100, onEvent: watched.onEvent });

    await watched.done();
    expect(await isAltered()).toBe(true);
    expect(await countAttempts()).toBe(watched.retries().length + 1);
    expect(await readEffects()).toEqual([1]);
    expect(await readRows()).toEqual([{ timestamp: '0', state: 'applied' }]);
  });

  test('is not run again where the script has dealt with the timeout itself', async () => {
    const folder = await createFolder({
      '1.0.0-1-alter.ts': moduleText(
        `${ask(count)} await connection.transaction(async (connection) => { ${ask(alter)} }).catch(() => undefined); ${ask(effect(1))}`,
      ),
    });
    await hold(read);
    const watched = watch();

    await deploy({ database: url, folder, lockTimeoutMs: 100, onEvent: watched.onEvent });

    expect(watched.retries()).toEqual([]);
    expect(await readEffects()).toEqual([1]);
    expect(await isAltered()).toBe(false);
  });

  test('is not run again for another failure', async () => {
    const folder = await createFolder({ '1.0.0-1-alter.sql': `${count} select 1 / 0;` });
    const watched = watch();

    const error = await failureOf(deploy({ database: url, folder, onEvent: watched.onEvent }));

    expect(error).toMatchObject({ database: { sqlState: '22012' }, blockers: [] });
    expect(watched.retries()).toEqual([]);
    expect(await countAttempts()).toBe(1);
  });

  test('is tried again where the lock is missed at its commit', async () => {
    await query(`
      create function alter_t() returns trigger language plpgsql as $$ begin ${alter} return null; end $$;
      create constraint trigger late after insert on effects initially deferred for each row execute function alter_t()`);
    const folder = await createFolder({ '1.0.0-1-alter.sql': `${count}${effect(1)}` });
    const reader = await hold(read);
    const watched = watch({ 2: reader.release });

    await deploy({ database: url, folder, lockTimeoutMs: 100, onEvent: watched.onEvent });

    await watched.done();
    expect(await isAltered()).toBe(true);
    expect(await countAttempts()).toBe(watched.retries().length + 1);
    expect(await readEffects()).toEqual([1]);
  });

  test('is tried again where somebody has locked a row of it', async () => {
    await query('insert into t values (1)');
    const folder = await createFolder({ '1.0.0-1-update.sql': `${effect(1)} update t set id = id + 1;` });
    const writer = await hold('select from t for update');
    const watched = watch({ 1: writer.release });

    await deploy({ database: url, folder, lockTimeoutMs: 100, onEvent: watched.onEvent });

    await watched.done();
    expect(await query('select id from t')).toEqual([{ id: 2 }]);
    expect(await readEffects()).toEqual([1]);
  });

  test('is tried again where somebody has locked the history before its row is written', async () => {
    const folder = await createFolder({
      '1.0.0-1-first.sql': 'select 1',
      '1.1.0-2-stay.sql': `${effect(2)}${stay}`,
    });
    await deploy({ database: url, folder, target: '1.0.0' });
    const watched = watch();
    const deploying = begin(deploy({ database: url, folder, lockTimeoutMs: 100, onEvent: watched.onEvent }));
    await runnerStays();
    const locker = await hold('lock table alteration_history in share mode');
    await openGate();
    await waitUntil('it was tried again', async () => watched.retries().length > 0);
    await locker.release();

    await deploying;

    expect(await readEffects()).toEqual([2]);
    expect(await readRows()).toHaveLength(2);
  });

  test('is tried again where nobody can be asked who blocks it', async () => {
    const { role, url: source } = await createRole(
      database,
      (name) => `alter role ${name} connection limit 1; grant create on schema public to ${name}`,
    );
    await query(`alter table t owner to ${role}`);
    const folder = await createFolder({ '1.0.0-1-alter.sql': alter });
    const reader = await hold(read);
    const watched = watch({ 2: reader.release });

    await deploy({ database: source, folder, lockTimeoutMs: 300, onEvent: watched.onEvent });

    await watched.done();
    expect(watched.retries()).toEqual(atLeast(retry(1), retry(2)));
    expect(watched.blocked()).toEqual([]);
    expect(await isAltered()).toBe(true);
  });

  test('stops between two attempts when it is asked to', async () => {
    const folder = await createFolder({ '1.0.0-1-alter.sql': `${effect(1)}${alter}` });
    await hold(read);
    const stop = new AbortController();
    const watched = watch({ 2: async () => stop.abort(new StoppedError('SIGTERM')) });

    const error = await failureOf(
      deploy({ database: url, folder, lockTimeoutMs: 100, stop: stop.signal, onEvent: watched.onEvent }),
    );

    expect(error).toBeInstanceOf(StoppedError);
    expect(error).toMatchObject({
      signal: 'SIGTERM',
      progress: { done: [], remaining: ['1.0.0-1-alter.sql'] },
    });
    expect(watched.retries()).toHaveLength(2);
    expect(await readEffects()).toEqual([]);
    expect(await readRows()).toEqual([]);
  });
});

describe('a deadlock with another session', () => {
  test('costs an attempt, and the alteration is applied once', async () => {
    await query('create table u (id int)');
    const folder = await createFolder({
      '1.0.0-1-both.sql': `${count}${effect(1)}
        set local deadlock_timeout = '3s';
        lock table t in access exclusive mode;
        lock table u in access exclusive mode;`,
    });
    const other = await hold('lock table u in access share mode');
    await other.query(`set deadlock_timeout = '1h'`); // it is the runner that shall find the deadlock
    const watched = watch();
    const deploying = begin(deploy({ database: url, folder, lockTimeoutMs: 0, onEvent: watched.onEvent }));
    await runnerWaits();
    await other.query(read);
    await other.release();

    await deploying;

    expect(watched.retries()).toEqual([retry(1, '1.0.0-1-both.sql', 'deadlock detected')]);
    expect(await countAttempts()).toBe(2);
    expect(await readEffects()).toEqual([1]);
  });
});

describe('past the lock deadline', () => {
  const file = '1.1.0-2-alter.sql';
  const files = { '1.0.0-1-first.sql': effect(1), [file]: `${effect(2)}\n${alter}` };
  const options = { lockTimeoutMs: 300, lockDeadlineMs: 1_500 };

  const blockerOf = ({ pid }: Holder) => ({
    pid,
    applicationName: 'reporting',
    role: new URL(url).username,
    state: 'idle in transaction',
    transactionAgeMs: expect.any(Number),
    lockMode: 'AccessShareLock',
    relation: 'public.t',
    query: read,
  });

  test('an alteration fails, and names who kept it waiting', async () => {
    const folder = await createFolder(files);
    const reader = await hold(read);
    const watched = watch();

    const error = await failureOf(deploy({ database: url, folder, ...options, onEvent: watched.onEvent }));

    expect(error).toBeInstanceOf(AlterationFailedError);
    expect(error).toMatchObject({
      message: expect.stringMatching(
        /^"1\.1\.0-2-alter\.sql" did not get the locks that it needs in \d attempts within [\d.]+ m?s: canceling statement due to lock timeout\.$/,
      ),
      alteration: file,
      phase: 'up',
      place: { file, line: 2 },
      database: { sqlState: '55P03', statement: alter.replace(';', '') },
      blockers: [blockerOf(reader)],
      hint: expect.stringMatching(/^It was rolled back: nothing of it stays\. .*--lock-deadline/),
      progress: { done: ['1.0.0-1-first.sql'], remaining: [file] },
    });
    expect(watched.blocked()[0]).toEqual([blockerOf(reader)]);
    expect(watched.retries()).toEqual(atLeast(retry(1, file)));
    expect(await isAltered()).toBe(false);
    expect(await readEffects()).toEqual([1]);
    expect(await readRows()).toEqual([{ timestamp: '1', state: 'applied' }]);
  });

  test('of zero an alteration is tried once', async () => {
    const folder = await createFolder(files);
    await hold(read);
    const watched = watch();

    const error = await failureOf(
      deploy({ database: url, folder, lockTimeoutMs: 100, lockDeadlineMs: 0, onEvent: watched.onEvent }),
    );

    expect(error).toBeInstanceOf(AlterationFailedError);
    expect(error).toMatchObject({ message: expect.stringContaining('in one attempt within') });
    expect(watched.retries()).toEqual([]);
  });

  const args = ['deploy', '--lock-timeout', '300ms', '--lock-deadline', '1500ms'];

  test('the process ends with exit code 4 and a document that names them', async () => {
    const folder = await createFolder(files);
    const reader = await hold(read);

    const { exitCode, stdout, stderr } = await runCli([...args, '--json', '--dir', folder], {
      env: { DB_URL: url },
    });

    expect(exitCode).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({
      error: {
        code: 'alteration-failed',
        exitCode: 4,
        alteration: file,
        database: { sqlState: '55P03' },
        blockers: [blockerOf(reader)],
      },
    });
    const lines = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const level = 'warn';
    expect(lines).toContainEqual(
      expect.objectContaining({ level, msg: 'waiting for locks of others', blockers: [blockerOf(reader)] }),
    );
    expect(lines).toContainEqual(
      expect.objectContaining({ level, msg: 'tried again after a pause', attempts: 1, reason: timedOut }),
    );
  });

  test('a person reads who they are', async () => {
    const folder = await createFolder(files);
    const reader = await hold(read);

    const { exitCode, stderr } = await runCli([...args, '--log-format', 'pretty', '--dir', folder], {
      env: { DB_URL: url },
    });

    const text = stderr.replaceAll(/\s+/g, ' ');
    const role = new URL(url).username;
    expect(exitCode).toBe(4);
    expect(text).toMatch(
      /↻ 1\.1\.0-2-alter\.sql {1}did not get its locks \(canceling statement due to lock timeout\); tried again in \d+ ms/,
    );
    expect(text).toContain('✖ "1.1.0-2-alter.sql" did not get the locks that it needs in');
    expect(text).toMatch(
      new RegExp(
        `Blocked by session ${reader.pid} \\("reporting" as ${role}, idle in transaction for [\\d.]+ s, AccessShareLock on public\\.t\\): ${read}`,
      ),
    );
    expect(text).toContain('1 alteration before it is applied.');
  });

  test.runIf(hasTerminals)('it stands within the 80 columns of a terminal', async () => {
    const folder = await createFolder(files);
    await hold(read);

    const run = startInTerminal([...args, '--dir', 'alterations', 'latest'], {
      env: { DB_URL: url },
      cwd: folder.replace(/\/alterations$/, ''),
    });
    onTestFinished(() => {
      run.end();
    });

    expect(await run.exitCode).toBe(4);
    const lines = run.screen();
    const failure = lines.slice(lines.findIndex((line) => line.startsWith('✖')));
    const blockers = failure.slice(failure.findIndex((line) => line.includes('Blocked by')));
    expect(blockers.slice(0, 3).join('\n')).toMatch(
      /^ {2}Blocked by\n {4}session \d+ \("reporting" as .*\n {4}\S/,
    );
    // What the terminal has to break fills its line.
    expect(failure.filter((line) => line.length === 80)).toEqual([]);
  });
});

describe('outside a transaction', () => {
  const file = '1.0.0-1-alter.sql';

  test.each<[string, string]>([
    ['that may run in one', alter],
    ['that may not', 'vacuum full t;'],
  ])(
    'a statement %s is tried again until the reader is gone, those before it are not',
    async (_, statement) => {
      const folder = await createFolder({
        [file]: `${noTransaction}${count}${effect(1)}\n${statement}\n${effect(2)}`,
      });
      const reader = await hold(read);
      const watched = watch({ 2: reader.release });

      await deploy({ database: url, folder, lockTimeoutMs: 100, onEvent: watched.onEvent });

      await watched.done();
      expect(watched.retries()).toEqual(atLeast(retry(1, file), retry(2, file)));
      expect(await countAttempts()).toBe(1);
      expect(await readEffects()).toEqual([1, 2]);
      expect(await readRows()).toEqual([{ timestamp: '1', state: 'applied' }]);
    },
  );

  const altered = () =>
    query(`select attrelid::regclass::text as name from pg_attribute where attname = 'more'`);

  test('a statement that is tried again has the settings of those before it', async () => {
    await query('create schema app; create table app.t (id int)');
    const folder = await createFolder({ [file]: `${noTransaction}set search_path = app;\n${alter}` });
    const reader = await hold('lock table app.t in access share mode');
    const watched = watch({ 1: reader.release });

    await deploy({ database: url, folder, lockTimeoutMs: 100, onEvent: watched.onEvent });

    await watched.done();
    expect(watched.retries()).toEqual(atLeast(retry(1)));
    expect(await altered()).toEqual([{ name: 'app.t' }]);
  });

  test('a statement that is tried again has the temporary tables of those before it', async () => {
    const folder = await createFolder({
      [file]: `${noTransaction}create temporary table scratch as select 1 as id;\n${alter}
        insert into effects select id from scratch;`,
    });
    const reader = await hold(read);
    const watched = watch({ 1: reader.release });

    await deploy({ database: url, folder, lockTimeoutMs: 100, onEvent: watched.onEvent });

    await watched.done();
    expect(watched.retries()).toEqual(atLeast(retry(1)));
    expect(await readEffects()).toEqual([1]);
  });

  test('a statement that does not get its locks before the deadline leaves its file half done', async () => {
    const folder = await createFolder({ [file]: `${noTransaction}${effect(1)}\n${alter}\n${effect(2)}` });
    const reader = await hold(read);
    const options = { database: url, folder, lockTimeoutMs: 300, lockDeadlineMs: 1_000 };

    const error = await failureOf(deploy(options));

    expect(error).toBeInstanceOf(AlterationHalfDoneError);
    expect(error).toMatchObject({
      message: expect.stringContaining('did not get the locks that it needs in'),
      statements: { done: 1, total: 3 },
      blockers: [{ pid: reader.pid, relation: 'public.t' }],
      database: { sqlState: '55P03' },
      hint: expect.stringMatching(/goes on with statement 2\. .*--lock-deadline/),
    });
    await reader.release();
    await deploy(options);
    expect(await readEffects()).toEqual([1, 2]);
    expect(await isAltered()).toBe(true);
  });

  test.each([
    ['a do block', `do $$ begin insert into effects values (1); commit; ${alter} end $$;`],
    ['a procedure', 'call work();'],
  ])('%s is not tried again: it may have committed', async (_, statement) => {
    await query(
      `create procedure work() language plpgsql as $$ begin insert into effects values (1); commit; ${alter} end $$`,
    );
    const folder = await createFolder({ [file]: noTransaction + statement });
    const reader = await hold(read);

    const { exitCode, stdout } = await start(['deploy', '--json', '--lock-timeout', '100ms'], folder).result;

    expect(exitCode).toBe(5);
    expect(JSON.parse(stdout)).toMatchObject({
      error: {
        code: 'alteration-half-done',
        database: { sqlState: '55P03' },
        statements: { done: 0, total: 1 },
      },
    });
    expect(await readEffects()).toEqual([1]);
    await reader.release();
  });

  test('a do block is not done again for a history that others have locked at its end', async () => {
    const folder = await createFolder({
      '1.0.0-1-first.sql': 'select 1',
      '1.1.0-2-work.sql': `${noTransaction}${stay.replace('end loop;', `end loop; ${effect(1)}`)}`,
    });
    await deploy({ database: url, folder, target: '1.0.0' });
    const deploying = begin(deploy({ database: url, folder, lockTimeoutMs: 100 }));
    await runnerStays();
    const locker = await hold('lock table alteration_history in share mode');
    await openGate();
    await runnerWaits();
    await pause(400); // lock timeouts pass
    await locker.release();

    await deploying.catch(() => deploy({ database: url, folder }));

    expect(await readEffects()).toEqual([1]);
    await deploying;
  });

  const beforeUp = (body: string) => `import { sql } from 'slonik';
    export default { beforeUp: async (connection) => { ${body} }, up: async (connection) => { ${ask(effect(2))} } };`;

  test('a beforeUp is run again from its start until the reader is gone', async () => {
    const folder = await createFolder({
      '1.0.0-1-alter.ts': beforeUp(ask(count) + ask(alter) + ask(effect(1))),
    });
    const reader = await hold(read);
    const watched = watch({ 2: reader.release });

    await deploy({ database: url, folder, lockTimeoutMs: 100, onEvent: watched.onEvent });

    await watched.done();
    expect(watched.retries()).toEqual(atLeast(retry(1, '1.0.0-1-alter.ts'), retry(2, '1.0.0-1-alter.ts')));
    expect(await countAttempts()).toBe(watched.retries().length + 1);
    expect(await readEffects()).toEqual([1, 2]);
  });

  test('a beforeUp that does not get its locks before the deadline says that it is run again', async () => {
    const folder = await createFolder({ '1.0.0-1-alter.ts': beforeUp(ask(alter)) });
    const reader = await hold(read);

    const error = await failureOf(
      deploy({ database: url, folder, lockTimeoutMs: 300, lockDeadlineMs: 1_000 }),
    );

    expect(error).toBeInstanceOf(AlterationHalfDoneError);
    expect(error).toMatchObject({
      phase: 'beforeUp',
      blockers: [{ pid: reader.pid }],
      hint: expect.stringMatching(/must be re-runnable\. .*--lock-deadline/),
    });
  });
});

describe('the lock timeout', () => {
  const tell = `insert into told values (current_setting('lock_timeout'));`;
  const told = async () => {
    const rows = await query<{ value: string }>('select value from told');
    return rows.map(({ value }) => value);
  };
  const module = (lines: string, properties = '') => `import { sql } from 'slonik';
    ${lines}
    export default { ${properties} beforeUp: async (connection) => { ${ask(tell)} }, up: async (connection) => { ${ask(tell)} } };`;

  beforeEach(() => query('create table told (value text)'));

  test.each<[string, Files, readonly string[]]>([
    ['the run’s', { '1.0.0-1-tell.sql': tell }, ['700ms']],
    ['the run’s outside a transaction', { '1.0.0-1-tell.sql': noTransaction + tell }, ['700ms']],
    ['the run’s for a module', { '1.0.0-1-tell.ts': module('') }, ['700ms', '700ms']],
    ['a comment’s', { '1.0.0-1-tell.sql': `-- alteration: lock-timeout=10s\n${tell}` }, ['10s']],
    ['none', { '1.0.0-1-tell.sql': `-- alteration: lock-timeout=0\n${tell}` }, ['0']],
    [
      'a comment’s outside a transaction',
      {
        '1.0.0-1-tell.sql': `-- alteration: no-transaction lock-timeout=1500ms\n${tell} do $$ begin ${tell} end $$;`,
      },
      ['1500ms', '1500ms'],
    ],
    ['a named export’s', { '1.0.0-1-tell.ts': module(`export const lockTimeout = '10s';`) }, ['10s', '10s']],
    ['a property’s', { '1.0.0-1-tell.ts': module('', `lockTimeout: '10s',`) }, ['10s', '10s']],
    [
      'the property’s where there is a named export too',
      { '1.0.0-1-tell.ts': module(`export const lockTimeout = '20s';`, `lockTimeout: '10s',`) },
      ['10s', '10s'],
    ],
    [
      'of the file of a pair that goes up',
      {
        '1.0.0-1-tell.up.sql': `-- alteration: lock-timeout=10s\n${tell}`,
        '1.0.0-1-tell.down.sql': `-- alteration: lock-timeout=20s\nselect 1`,
      },
      ['10s'],
    ],
  ])('is %s, and of the next alteration again the run’s', async (_, files, expected) => {
    const folder = await createFolder({ ...files, '1.1.0-2-next.sql': tell });

    await deploy({ database: url, folder, lockTimeoutMs: 700 });

    expect(await told()).toEqual([...expected, '700ms']);
  });

  test('is of the file of a pair that goes down', async () => {
    const folder = await createFolder({
      '0.9.0-0-first.sql': 'select 1',
      '1.0.0-1-tell.up.sql': 'select 1',
      '1.0.0-1-tell.down.sql': `-- alteration: lock-timeout=20s\n${tell}`,
      '1.1.0-2-tell.up.sql': '-- alteration: lock-timeout=30s\nselect 1',
      '1.1.0-2-tell.down.sql': tell,
    });
    await deploy({ database: url, folder });

    await rollback({ database: url, folder, target: '0.9.0', lockTimeoutMs: 700 });

    expect(await told()).toEqual(['700ms', '20s']);
  });

  test.each<[string, string]>([
    ['1.0.0-1-alter.sql', `-- alteration: lock-timeout=100ms\n${alter}`],
    ['1.0.0-1-alter.sql', `-- alteration: no-transaction lock-timeout=100ms\n${alter}`],
    ['1.0.0-1-alter.ts', `export const lockTimeout = '100ms';\n${moduleText(ask(alter))}`],
  ])('of an alteration is heeded where the run has none: %s %j', async (file, text) => {
    const folder = await createFolder({ [file]: text });
    const reader = await hold(read);
    const watched = watch({ 1: reader.release });

    await deploy({ database: url, folder, lockTimeoutMs: 0, onEvent: watched.onEvent });

    await watched.done();
    expect(watched.retries()).toEqual(atLeast(retry(1)));
    expect(await isAltered()).toBe(true);
  });

  test.each<[string, Files, readonly string[]]>([
    [
      'a no-transaction file',
      { '1.0.0-1-alter.sql': `-- alteration: no-transaction lock-timeout=100ms\n${alter}\n${tell}` },
      ['100ms'],
    ],
    [
      'a beforeUp',
      {
        '1.0.0-1-alter.ts': module(`export const lockTimeout = '100ms';`).replace(
          'beforeUp: async (connection) => {',
          `$& ${ask('alter table t add column if not exists more int;')}`,
        ),
      },
      ['100ms', '100ms'],
    ],
  ])('of an alteration holds on after an attempt that failed: %s', async (_, files, expected) => {
    const folder = await createFolder(files);
    const reader = await hold(read);
    const watched = watch({ 1: reader.release });

    await deploy({ database: url, folder, lockTimeoutMs: 60_000, onEvent: watched.onEvent });

    await watched.done();
    expect(watched.retries()).toEqual(atLeast(retry(1)));
    expect(await told()).toEqual(expected);
  });

  test.each<[string, string]>([
    ['1.0.0-1-alter.sql', `-- alteration: lock-timeout=0\n${alter}`],
    ['1.0.0-1-alter.sql', `-- alteration: no-transaction lock-timeout=0\n${alter}`],
    ['1.0.0-1-alter.ts', moduleText(ask(alter)).replace('default {', `default { lockTimeout: '0',`)],
  ])('of zero waits for as long as it takes: %s %j', async (file, text) => {
    const folder = await createFolder({ [file]: text });
    const reader = await hold(read);
    const watched = watch();

    const deploying = begin(
      deploy({ database: url, folder, lockTimeoutMs: 100, lockDeadlineMs: 0, onEvent: watched.onEvent }),
    );
    await waitUntil('it tells who blocks it', async () => watched.blocked().length > 0); // after a second
    await reader.release();
    await deploying;

    expect(watched.blocked()).toMatchObject([[{ pid: reader.pid }]]);
    expect(watched.retries()).toEqual([]);
    expect(await isAltered()).toBe(true);
  });

  test.each<[string, string, string]>([
    ['1.0.0-1-a.sql', '-- alteration: lock-timeout=10\nselect 1', '"lock-timeout=10" means nothing'],
    ['1.0.0-1-a.ts', `export const lockTimeout = 10;\n${moduleText('')}`, 'has "lockTimeout" that is 10;'],
  ])('that is no duration keeps everything from running: %s', async (file, text, message) => {
    const folder = await createFolder({ '0.9.0-0-first.sql': effect(1), [file]: text });

    const error = await failureOf(deploy({ database: url, folder }));

    expect(error).toMatchObject({
      code: 'alteration-unusable',
      problems: [{ file, message: expect.stringContaining(message) }],
    });
    expect(await readEffects()).toEqual([]);
  });
});

describe('a history table that others have locked', () => {
  const historyTable = { schema: 'public', table: 'alteration_history' };
  const files = { '1.0.0-1-first.sql': effect(1) };
  const upgraded = (to = historyTableVersion) => [{ comment: `alteration history, version ${to}` }];
  const readComment = () => query(`select obj_description('alteration_history'::regclass) as comment`);

  /** As an older runner left it: this one has to alter it. */
  async function createOlder(): Promise<void> {
    const pool = await createPool(url);
    await createHistoryTableOfVersion(queryableOf(pool), historyTable, 1);
    await pool.end();
  }

  test('is upgraded when its reader is gone', async () => {
    await createOlder();
    const folder = await createFolder(files);
    const reader = await hold('select from alteration_history');
    const watched = watch({ 2: reader.release });

    await deploy({ database: url, folder, lockTimeoutMs: 100, onEvent: watched.onEvent });

    await watched.done();
    expect(watched.retries()).toEqual(
      atLeast(retry(1, 'public.alteration_history'), retry(2, 'public.alteration_history')),
    );
    expect(await readComment()).toEqual(upgraded());
    expect(await readEffects()).toEqual([1]);
  });

  test('fails the deploy past the deadline, and nothing is changed', async () => {
    await createOlder();
    const folder = await createFolder(files);
    const reader = await hold('select from alteration_history');

    const error = await failureOf(
      deploy({ database: url, folder, lockTimeoutMs: 300, lockDeadlineMs: 1_500 }),
    );

    expect(error).toBeInstanceOf(HistoryBlockedError);
    expect(error).toMatchObject({
      message: expect.stringMatching(
        /^The history table "public\.alteration_history" was locked by others for [\d.]+ m?s: canceling/,
      ),
      hint: expect.stringContaining('Nothing was changed.'),
      blockers: [{ pid: reader.pid, lockMode: 'AccessShareLock', relation: 'public.alteration_history' }],
    });
    expect(await readComment()).toEqual(upgraded(1));
    expect(await readEffects()).toEqual([]);
  });

  test('ends the process with exit code 4, and is named with its blockers', async () => {
    await createOlder();
    const folder = await createFolder(files);
    const reader = await hold('select from alteration_history');
    const limits = ['--lock-timeout', '300ms', '--lock-deadline', '1s'];

    const { exitCode, stdout } = await start(['deploy', '--json', ...limits], folder).result;

    expect(exitCode).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'history-blocked', exitCode: 4, blockers: [{ pid: reader.pid }] },
    });
  });

  const lockAgainstReaders = 'lock table alteration_history in access exclusive mode';

  test('even against readers is waited for', async () => {
    await deploy({ database: url, folder: await createFolder({ '0.9.0-0-zero.sql': 'select 1' }) });
    const folder = await createFolder({ '0.9.0-0-zero.sql': 'select 1', ...files });
    const locker = await hold(lockAgainstReaders);
    const watched = watch();

    const deploying = begin(deploy({ database: url, folder, lockTimeoutMs: 100, onEvent: watched.onEvent }));
    await runnerWaits();
    await pause(300); // lock timeouts pass
    await locker.release();
    await deploying;

    expect(await readEffects()).toEqual([1]);
  });

  test('even against readers fails the deploy past the deadline, and nothing is changed', async () => {
    await deploy({ database: url, folder: await createFolder({ '0.9.0-0-zero.sql': 'select 1' }) });
    const folder = await createFolder({ '0.9.0-0-zero.sql': 'select 1', ...files });
    const locker = await hold(lockAgainstReaders);

    const error = await failureOf(
      deploy({ database: url, folder, lockTimeoutMs: 300, lockDeadlineMs: 1_000 }),
    );

    expect(error).toBeInstanceOf(HistoryBlockedError);
    expect(error).toMatchObject({ blockers: [{ pid: locker.pid, lockMode: 'AccessExclusiveLock' }] });
    await locker.release();
    expect(await readEffects()).toEqual([]);
  });
});
