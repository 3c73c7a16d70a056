import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createPgDriverFactory } from '@slonik/pg-driver';
import { createPool, type DatabasePool, type Interceptor, sql } from 'slonik';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { DatabaseSource, DeployOptions, RunEvent } from '../../src/index.ts';
import { runCli } from '../support/cli.ts';
import { createRole } from '../support/create-role.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder, writeFiles } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { moduleText } from '../support/module-text.ts';
import { waitUntil } from '../support/wait-until.ts';

const { baseline, check, create, deploy, list, release, rollback, status } = library;
const database = await createDatabase();
const { query, url } = database;

beforeEach(() => emptyDatabase(database));

const insert = (id: number) => `insert into runs values (${id});`;
const insertQuery = (id: number) => `await connection.query(sql.unsafe\`${insert(id)}\`);`;

/** A history over four versions that can be rolled back; `runs` tells what was run. */
const files = {
  '1.0.0-1-create-runs.up.sql': `create table runs (id int); ${insert(1)}`,
  '1.0.0-1-create-runs.down.sql': 'drop table runs;',
  '1.1.0-2-second.ts': `import { sql } from 'slonik';
export default {
  beforeUp: async (connection) => { await connection.query(sql.unsafe\`select 'before'\`); },
  up: async (connection) => { ${insertQuery(2)} },
  down: async (connection) => { await connection.query(sql.unsafe\`delete from runs where id = 2\`); },
};`,
  '1.2.0-3-third.up.sql': `${insert(3)}\n${insert(30)}`,
  '1.2.0-3-third.down.sql': 'delete from runs where id in (3, 30);',
  'next-4-fourth.up.sql': insert(4),
  'next-4-fourth.down.sql': 'delete from runs where id = 4;',
};

async function readRuns(): Promise<number[]> {
  const rows = await query<{ id: number }>('select id from runs order by id');
  return rows.map(({ id }) => id);
}

async function readIds(): Promise<string[]> {
  const rows = await query<{ timestamp: string }>('select "timestamp" from alteration_history order by 1');
  return rows.map(({ timestamp }) => timestamp);
}

async function isEmpty(): Promise<boolean> {
  const rows = await query(`select from pg_class where relnamespace = 'public'::regnamespace`);
  return rows.length === 0;
}

type PoolSettings = Parameters<typeof createPool>[1];

async function openPool(settings: PoolSettings = {}): Promise<DatabasePool> {
  const pool = await createPool(url, { maximumPoolSize: 1, ...settings });
  onTestFinished(() => pool.end());
  return pool;
}

describe.each<[string, () => Promise<DatabaseSource>]>([
  ['a connection string', async () => url],
  ["the caller's pool", () => openPool()],
  ["the caller's pool with a driver of its own", () => openPool({ driverFactory: createPgDriverFactory() })],
])('with %s', (_, openSource) => {
  test('a history is deployed, listed, looked at, checked and rolled back', async () => {
    const options = { database: await openSource(), folder: await createFolder(files) };

    const deployed = await deploy({ ...options, target: '1.1.0' });
    const listed = await list(options);
    const seen = await status(options);
    const checked = await check(options);
    const rolledBack = await rollback({ ...options, target: '1.0.0' });

    const second = { id: '2', version: '1.1.0', name: 'second', file: '1.1.0-2-second.ts' };
    expect(library.deployReportSchema.parse(deployed)).toMatchObject({
      versionBefore: null,
      version: '1.1.0',
      applied: [{ id: '1' }, { ...second, late: false }],
      pending: 2,
    });
    expect(library.listReportSchema.parse(listed).alterations.map(({ state }) => state)).toEqual([
      'applied',
      'applied',
      'pending',
      'pending',
    ]);
    expect(library.statusReportSchema.parse(seen)).toMatchObject({
      database: { database: database.name },
      history: { schema: 'public', table: 'alteration_history', exists: true },
      version: '1.1.0',
      counts: { applied: 2, pending: 2, late: 0, missing: 0, edited: 0 },
      pending: [
        { version: '1.2.0', count: 1 },
        { version: 'next', count: 1 },
      ],
      lastDeploy: { deployId: deployed.deployId, applied: 2 },
      lock: null,
    });
    expect(library.checkReportSchema.parse(checked)).toMatchObject({
      result: 'pending',
      pending: [{ id: '3' }],
    });
    expect(library.rollbackReportSchema.parse(rolledBack)).toMatchObject({
      versionBefore: '1.1.0',
      version: '1.0.0',
      rolledBack: [second],
    });
    expect(await readRuns()).toEqual([1]);
    expect(await readIds()).toEqual(['1']);
  });

  test('a schema that is there already is recorded, and what follows is deployed', async () => {
    const options = { database: await openSource(), folder: await createFolder(files) };
    await query('create table runs (id int)');

    const recorded = await baseline({ ...options, target: '1.1.0' });
    const deployed = await deploy(options);

    expect(library.baselineReportSchema.parse(recorded)).toMatchObject({
      version: '1.1.0',
      recorded: [{ id: '1' }, { id: '2' }],
    });
    expect(deployed.applied.map(({ id }) => id)).toEqual(['3']);
    expect(await readRuns()).toEqual([3, 30]);
    expect(await check(options)).toMatchObject({ result: 'up-to-date', edited: [] });
  });

  test('a failure is told in the same way', async () => {
    const folder = await createFolder({ '1.0.0-1-fail.sql': 'create table t (id int);\nselect 1 / 0;' });

    const error = await failureOf(deploy({ database: await openSource(), folder }));

    expect(error).toBeInstanceOf(library.AlterationFailedError);
    expect(error).toMatchObject({
      message: '"1.0.0-1-fail.sql" failed: division by zero.',
      place: { line: 2 },
      database: { sqlState: '22012' },
    });
  });

  test('a session that is terminated is told in the same way', async () => {
    const folder = await createFolder({ '1.0.0-1-stay.sql': 'select pg_sleep(600);' });
    const deploying = failureOf(deploy({ database: await openSource(), folder }));

    await waitUntil('the session was terminated', async () => {
      const rows = await query(
        `select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and query like 'select pg_sleep%'`,
      );
      return rows.length > 0;
    });

    expect(await deploying).toBeInstanceOf(library.SessionLostError);
  });
});

describe("the caller's pool", () => {
  const readSession = sql.unsafe`
    select current_setting('application_name') as name, current_setting('statement_timeout') as timeout,
      current_setting('idle_in_transaction_session_timeout') as idle, current_setting('search_path') as path,
      current_setting('client_connection_check_interval') as interval,
      (select count(*)::int from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) as locks`;

  test.each<[string, PoolSettings]>([
    ['as slonik makes it', {}],
    ['with a reset of its own', { resetConnection: async () => undefined }],
  ])('is as it was before, after a success and after a failure (%s)', async (_, settings) => {
    const pool = await openPool(settings);
    const before = await pool.one(readSession);
    const folder = await createFolder({
      '1.0.0-1-path.sql': 'create table a (); set search_path = elsewhere;',
      '1.1.0-2-fail.sql': `set search_path = elsewhere; select 1 / 0;`,
    });

    await deploy({ database: pool, folder, target: '1.0.0' });
    const afterSuccess = await pool.one(readSession);
    await failureOf(deploy({ database: pool, folder }));
    const afterFailure = await pool.one(readSession);

    expect(afterSuccess).toEqual(before);
    expect(afterFailure).toEqual(before);
  });

  test('does not end statements and transactions after its own time limits', async () => {
    const pool = await openPool({ statementTimeout: 100, idleInTransactionSessionTimeout: 100 });
    const body = `await connection.query(sql.unsafe\`select pg_sleep(0.3)\`);
      await new Promise((resolve) => setTimeout(resolve, 300));`;
    const folder = await createFolder({ '1.0.0-1-long.ts': moduleText(body) });

    expect((await deploy({ database: pool, folder })).applied).toHaveLength(1);
  });

  test('does not run an alteration again by itself', async () => {
    const body = `globalThis.timesRun = (globalThis.timesRun ?? 0) + 1;
      await connection.query(sql.unsafe\`do $$ begin raise exception 'conflict' using errcode = '40001'; end $$\`);`;
    const folder = await createFolder({ '1.0.0-1-conflict.ts': moduleText(body) });

    const error = await failureOf(deploy({ database: await openPool(), folder }));

    expect(error).toMatchObject({ code: 'alteration-failed', database: { sqlState: '40001' } });
    expect(Reflect.get(globalThis, 'timesRun')).toBe(1);
  });

  test.each(['40P01', '40001'])('does not run a statement without a transaction again (%s)', async (code) => {
    await query('create sequence attempts');
    const folder = await createFolder({
      '1.0.0-1-conflict.sql': `-- alteration: no-transaction
do $$ begin perform nextval('attempts'); raise exception 'conflict' using errcode = '${code}'; end $$;`,
    });

    const error = await failureOf(deploy({ database: await openPool(), folder }));

    expect(error).toMatchObject({ code: 'alteration-half-done', database: { sqlState: code } });
    expect(await query('select last_value::int, is_called from attempts')).toEqual([
      { last_value: 1, is_called: true },
    ]);
  });
});

describe('what an interceptor sets on connecting', () => {
  const look = (moment: string) =>
    `await connection.query(sql.unsafe\`insert into public.found values ('${moment}', current_setting('search_path'), current_user)\`);`;
  const leave = 'await connection.query(sql.unsafe`set search_path = elsewhere; set role none`);';
  const looking = {
    '1.0.0-1-first.ts': moduleText(`${look('first')} ${leave}`),
    '1.0.0-2-second.ts': `import { sql } from 'slonik';
export default {
  beforeUp: async (connection) => { ${look('beforeUp')} ${leave} },
  up: async (connection) => { ${look('up')} await connection.query(sql.unsafe\`create table landed ()\`); },
};`,
  };

  test.each<[string, (interceptors: Interceptor[]) => Promise<Pick<DeployOptions, 'database' | 'rows'>>]>([
    ["the caller's pool", async (interceptors) => ({ database: await openPool({ interceptors }) })],
    ['the rows of a connection string', async (interceptors) => ({ database: url, rows: { interceptors } })],
  ])('holds for each alteration, and after a beforeUp (%s)', async (_, openSource) => {
    await query('create schema tenant; create table found (moment text, path text, role text)');
    const { role } = await createRole(
      database,
      (name) => `grant create on schema public to ${name}; grant all on schema tenant to ${name};
        grant insert on found to ${name}`,
    );
    const tenant: Interceptor = {
      name: 'tenant',
      afterPoolConnection: async (_context, connection) => {
        await connection.query(sql.unsafe`set search_path = tenant`);
        await connection.query(sql.unsafe`set role ${sql.identifier([role])}`);
        return null;
      },
    };

    await deploy({ ...(await openSource([tenant])), folder: await createFolder(looking) });

    expect(await query('select * from found')).toEqual([
      { moment: 'first', path: 'tenant', role },
      { moment: 'beforeUp', path: 'tenant', role },
      { moment: 'up', path: 'tenant', role },
    ]);
    expect(
      await query(
        `select relnamespace::regnamespace::text as schema, pg_get_userbyid(relowner) as owner
        from pg_class where relname = 'landed'`,
      ),
    ).toEqual([{ schema: 'tenant', owner: role }]);
  });
});

describe('what happens is told', () => {
  test('event by event, for a deploy', async () => {
    const folder = await createFolder(files);
    const events: RunEvent[] = [];

    await deploy({ database: url, folder, target: '1.2.0', onEvent: (event) => events.push(event) });

    const step = (alteration: string, index: number) => ({ alteration, index, total: 3, direction: 'up' });
    const done = { type: 'finished', durationMs: expect.any(Number) };
    const one = '1.0.0-1-create-runs.up.sql';
    const two = '1.1.0-2-second.ts';
    const three = '1.2.0-3-third.up.sql';
    expect(events).toEqual([
      { type: 'connected', database: expect.objectContaining({ database: database.name }) },
      { type: 'planned', direction: 'up', total: 3, late: 0 },
      { type: 'started', ...step(one, 1), late: false },
      { type: 'statement', alteration: one, index: 1, total: 2, summary: 'create table runs (id int)' },
      { type: 'statement', alteration: one, index: 2, total: 2, summary: 'insert into runs values (1)' },
      { ...done, ...step(one, 1) },
      { type: 'started', ...step(two, 2), late: false },
      { type: 'phase', alteration: two, phase: 'beforeUp' },
      { ...done, ...step(two, 2) },
      { type: 'started', ...step(three, 3), late: false },
      { type: 'statement', alteration: three, index: 1, total: 2, summary: 'insert into runs values (3)' },
      { type: 'statement', alteration: three, index: 2, total: 2, summary: 'insert into runs values (30)' },
      { ...done, ...step(three, 3) },
    ]);
  });

  test('event by event, for a rollback', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    const events: string[] = [];

    await rollback({
      database: url,
      folder,
      target: '1.0.0',
      onEvent: (event) =>
        events.push('alteration' in event ? `${event.type} ${event.alteration}` : event.type),
    });

    expect(events).toEqual([
      'connected',
      'planned',
      'started 1.2.0-3-third.up.sql',
      'statement 1.2.0-3-third.down.sql',
      'finished 1.2.0-3-third.up.sql',
      'started 1.1.0-2-second.ts',
      'finished 1.1.0-2-second.ts',
    ]);
  });

  test('to a logger, with a constant message and the facts beside it', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    await rm(join(folder, '1.1.0-2-second.ts'));
    const lines: [string, object, string][] = [];
    const write = (level: string) => (facts: object, message: string) => lines.push([level, facts, message]);
    const logger = { info: write('info'), warn: write('warn'), debug: write('debug') };

    await deploy({ database: url, folder, target: 'next', logger });

    const alteration = 'next-4-fourth.up.sql';
    expect(lines).toEqual([
      ['info', { database: expect.any(Object) }, 'connected'],
      ['warn', { alterations: ['2-second'] }, 'applied alterations have no file'],
      ['info', { direction: 'up', total: 1, late: 0 }, 'planned'],
      ['info', { direction: 'up', alteration, index: 1, total: 1, late: false }, 'started'],
      [
        'debug',
        { alteration, index: 1, total: 1, summary: 'insert into runs values (4)' },
        'statement started',
      ],
      [
        'info',
        { direction: 'up', alteration, index: 1, total: 1, durationMs: expect.any(Number) },
        'finished',
      ],
    ]);
  });
});

describe('an error has a class and a code', () => {
  const address = new URL(url);
  const changed = (change: (address: URL) => void): string => {
    const copy = new URL(address);
    change(copy);
    return copy.href;
  };

  test.each<[string, string, RegExp]>([
    [
      'DatabaseUnreachableError',
      changed((to) => Object.assign(to, { port: '1' })),
      /:1 cannot be reached: .*ECONNREFUSED/,
    ],
    [
      'DatabaseUnreachableError',
      changed((to) => Object.assign(to, { hostname: 'host.invalid' })),
      /host\.invalid:\d+ cannot be reached/,
    ],
    [
      'DatabaseRefusedError',
      changed((to) => Object.assign(to, { password: 'wrong' })),
      /refuses the connection: password authentication failed/,
    ],
    [
      'DatabaseRefusedError',
      changed((to) => Object.assign(to, { pathname: '/missing' })),
      /refuses the connection: database "missing" does not exist/,
    ],
    ['ConfigurationError', 'mysql://root@127.0.0.1/db', /postgres:\/\//],
  ])('%s', async (name, source, message) => {
    const folder = await createFolder(files);

    const error = await failureOf(deploy({ database: source, folder }));

    expect(error).toBeInstanceOf(library.AlterationError);
    expect(error).toMatchObject({ name, message: expect.stringMatching(message) });
  });

  test('before any connection where the folder or the target is wrong', async () => {
    const nowhere = changed((to) => Object.assign(to, { port: '1' }));
    const folder = await createFolder({ '1.0-1-short.sql': '', 'next-12345678901-long.ts': '' });

    const malformed = await failureOf(deploy({ database: nowhere, folder }));
    const missing = await failureOf(deploy({ database: nowhere, folder: join(folder, 'missing') }));
    const target = await failureOf(deploy({ database: nowhere, folder, target: '1.4' }));

    expect(malformed).toMatchObject({
      code: 'folder',
      problems: [{ file: '1.0-1-short.sql' }, { file: 'next-12345678901-long.ts' }],
    });
    expect(missing).toMatchObject({ code: 'folder', message: expect.stringContaining('does not exist') });
    expect(target).toMatchObject({
      code: 'invalid-target',
      target: '1.4',
      hint: expect.stringContaining('"1.4.0"'),
    });
  });

  test('where the role may not create the history', async () => {
    const role = `writer_${database.name}`;
    await query(`create role ${role} login password 'writer'`);
    onTestFinished(async () => {
      await query(`drop role ${role}`);
    });
    const source = changed((to) => Object.assign(to, { username: role, password: 'writer' }));

    const error = await failureOf(deploy({ database: source, folder: await createFolder(files) }));

    expect(error).toBeInstanceOf(library.DatabaseRefusedError);
    expect(error).toMatchObject({
      message: expect.stringContaining(
        `The role "${role}" may not create the history table "public.alteration_history"`,
      ),
      hint: expect.stringContaining(`grant create on schema public to ${role}`),
    });
  });
});

describe('a target', () => {
  test.each([
    ['latest', ['1', '2', '3']],
    ['next', ['1', '2', '3', '4']],
    ['1.1.0', ['1', '2']],
    ['v1.1.7', ['1', '2']],
    ['1.2.0-beta.1', ['1', '2']],
    ['0.9.0', []],
    ['9.0.0', ['1', '2', '3']],
  ])('%s is deployed as far as it goes', async (target, ids) => {
    const report = await deploy({ database: url, folder: await createFolder(files), target });

    expect(report.applied.map(({ id }) => id)).toEqual(ids);
  });

  test('that is older than the database does nothing to it', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });

    const report = await deploy({ database: url, folder, target: '1.0.0' });

    expect(report).toMatchObject({ applied: [], version: '1.2.0', deployId: null });
    expect(await readRuns()).toEqual([1, 2, 3, 30]);
  });

  test.each([
    ['latest', ['4']],
    ['1.1.0', ['4', '3']],
    ['0.0.0', ['4', '3', '2', '1']],
    ['next', []],
  ])('%s is rolled back to', async (target, ids) => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder, target: 'next' });

    const report = await rollback({ database: url, folder, target });

    expect(report.rolledBack.map(({ id }) => id)).toEqual(ids);
  });
});

describe('a late alteration', () => {
  const hotfix = { '1.1.1-9-hotfix.sql': insert(9) };

  async function deployedBeforeHotfix(): Promise<string> {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    await writeFiles(folder, hotfix);
    return folder;
  }

  test('is deployed, and told as late', async () => {
    const folder = await deployedBeforeHotfix();

    const listed = await list({ database: url, folder, pending: true });
    const report = await deploy({ database: url, folder });

    expect(listed.alterations.map(({ id, state }) => [id, state])).toEqual([
      ['9', 'late'],
      ['4', 'pending'],
    ]);
    expect(report.applied).toMatchObject([{ id: '9', late: true }]);
    expect(await readRuns()).toEqual([1, 2, 3, 9, 30]);
  });

  test('is refused where the order is strict, and nothing is done', async () => {
    const folder = await deployedBeforeHotfix();

    const error = await failureOf(deploy({ database: url, folder, target: 'next', strictOrder: true }));
    const checked = await check({ database: url, folder, strictOrder: true });

    expect(error).toBeInstanceOf(library.StrictOrderError);
    expect(error).toMatchObject({ problems: [{ file: '1.1.1-9-hotfix.sql' }] });
    expect(checked.result).toBe('integrity');
    expect(await readIds()).toEqual(['1', '2', '3']);
  });
});

describe('a dry run', () => {
  test('of a deploy changes nothing and tells the plan', async () => {
    const folder = await createFolder(files);

    const report = await deploy({ database: url, folder, target: '1.1.0', dryRun: true });

    expect(library.deployReportSchema.parse(report)).toMatchObject({
      dryRun: true,
      planned: [{ id: '1' }, { id: '2' }],
      applied: [],
      version: null,
      pending: 2,
      deployId: null,
    });
    expect(await isEmpty()).toBe(true);
  });

  test('of a rollback changes nothing and tells the plan', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });

    const report = await rollback({ database: url, folder, target: '1.0.0', dryRun: true });

    expect(report).toMatchObject({ planned: [{ id: '3' }, { id: '2' }], rolledBack: [], version: '1.2.0' });
    expect(await readIds()).toEqual(['1', '2', '3']);
  });

  test('of a baseline changes nothing and tells what it would record', async () => {
    const report = await baseline({
      database: url,
      folder: await createFolder(files),
      target: '1.0.0',
      dryRun: true,
    });

    expect(report).toMatchObject({ recorded: [{ id: '1' }], deployId: null });
    expect(await isEmpty()).toBe(true);
  });
});

describe('a rollback', () => {
  test('is refused before anything is touched, and all that stands in its way is named', async () => {
    const folder = await createFolder({
      ...files,
      '1.1.0-5-no-down.ts': moduleText(insertQuery(5)),
      '1.1.0-6-single.sql': insert(6),
      '1.2.0-7-lost.up.sql': insert(7),
      '1.2.0-7-lost.down.sql': '',
    });
    await writeFiles(folder, { '1.2.0-7-lost.down.sql': 'delete from runs where id = 7;' });
    await deploy({ database: url, folder });
    const runs = await readRuns();
    await rm(join(folder, '1.2.0-7-lost.up.sql'));
    await rm(join(folder, '1.2.0-7-lost.down.sql'));

    const error = await failureOf(rollback({ database: url, folder, target: '1.0.0' }));

    expect(error).toBeInstanceOf(library.RollbackRefusedError);
    expect(error).toMatchObject({
      message: 'The rollback to 1.0.0 cannot be done.',
      problems: [
        { file: '1.1.0-6-single.sql', message: '"1.1.0-6-single.sql" has no down.' },
        { file: '1.1.0-5-no-down.ts', message: '"1.1.0-5-no-down.ts" has no down.' },
        { message: '"lost" (1.2.0, 7) is applied, and its file is missing.' },
      ],
    });
    expect(await readRuns()).toEqual(runs);
  });

  test('passes by what is missing or has no down within the target', async () => {
    const folder = await createFolder({
      ...files,
      '1.0.0-5-single.sql': insert(5),
      '1.0.0-6-lost.sql': insert(6),
    });
    await deploy({ database: url, folder });
    await rm(join(folder, '1.0.0-6-lost.sql'));

    const report = await rollback({ database: url, folder, target: '1.1.0' });

    expect(report.rolledBack.map(({ id }) => id)).toEqual(['3']);
  });

  test.each([
    [false, ['1', '2', '3']],
    [true, ['1']],
  ])('asks first with what it would do: at %s it leaves %j', async (answer, ids) => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    const asked: string[] = [];

    await rollback({
      database: url,
      folder,
      target: '1.0.0',
      confirm: async (planned) => {
        asked.push(...planned.map(({ file }) => file));
        return answer;
      },
    });

    expect(asked).toEqual(['1.2.0-3-third.up.sql', '1.1.0-2-second.ts']);
    expect(await readIds()).toEqual(ids);
  });

  test('does not ask when there is nothing to do', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    const asked: unknown[] = [];

    await rollback({
      database: url,
      folder,
      target: '1.2.0',
      confirm: async (planned) => asked.push(planned) > 0,
    });

    expect(asked).toEqual([]);
  });

  test('that fails keeps what came before it, and takes nothing of the failed one back', async () => {
    const folder = await createFolder({
      ...files,
      '1.1.0-2-second.ts': files['1.1.0-2-second.ts'].replace('where id = 2', 'where id = 1 / (id - id)'),
    });
    await deploy({ database: url, folder });

    const error = await failureOf(rollback({ database: url, folder, target: '0.0.0' }));

    expect(error).toMatchObject({
      code: 'alteration-failed',
      phase: 'down',
      progress: {
        direction: 'down',
        done: ['1.2.0-3-third.up.sql'],
        remaining: ['1.1.0-2-second.ts', '1.0.0-1-create-runs.up.sql'],
      },
    });
    expect(await readIds()).toEqual(['1', '2']);
    expect(await readRuns()).toEqual([1, 2]);
  });
});

describe('a baseline', () => {
  test('is refused over rows', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder, target: '1.0.0' });

    const error = await failureOf(baseline({ database: url, folder, target: '1.1.0' }));

    expect(error).toBeInstanceOf(library.BaselineRefusedError);
    expect(error).toMatchObject({
      message: 'The history "public.alteration_history" has a row already; a baseline is the first.',
    });
    expect(await readIds()).toEqual(['1']);
  });

  test('follows a rollback of everything', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    await rollback({ database: url, folder, target: '0.0.0' });

    await baseline({ database: url, folder, target: 'next' });

    expect(await readIds()).toEqual(['1', '2', '3', '4']);
  });
});

describe('a run is ended', () => {
  test('before the next alteration when it is asked to stop', async () => {
    const folder = await createFolder(files);
    const stop = new AbortController();
    const onEvent = ({ type }: RunEvent) =>
      type === 'finished' && stop.abort(new library.StoppedError('SIGTERM'));

    const error = await failureOf(deploy({ database: url, folder, stop: stop.signal, onEvent }));
    const report = await deploy({ database: url, folder });

    expect(error).toBeInstanceOf(library.StoppedError);
    expect(error).toMatchObject({
      progress: {
        done: ['1.0.0-1-create-runs.up.sql'],
        remaining: ['1.1.0-2-second.ts', '1.2.0-3-third.up.sql'],
      },
    });
    expect(report.applied.map(({ id }) => id)).toEqual(['2', '3']);
  });

  test('within an alteration when that is abandoned, and nothing of it is left', async () => {
    const abandon = new AbortController();
    const body = `await connection.query(sql.unsafe\`create table t (id int)\`); await new Promise(() => {});`;
    const folder = await createFolder({ '1.0.0-1-stay.ts': moduleText(body) });
    const deploying = failureOf(deploy({ database: url, folder, abandon: abandon.signal }));

    await waitUntil('the script waits', async () => {
      const rows = await query(
        `select from pg_stat_activity
        where datname = current_database() and state = 'idle in transaction' and query like 'create table t%'`,
      );
      return rows.length > 0;
    });
    abandon.abort(new Error('enough'));
    const error = await deploying;

    expect(error).toBeInstanceOf(library.AlterationFailedError);
    expect(error).toMatchObject({ message: '"1.0.0-1-stay.ts" failed: enough.' });
    expect(await query(`select to_regclass('public.t') as found`)).toEqual([{ found: null }]);
  });
});

describe('a check', () => {
  test('waits for the deploy of another', async () => {
    const folder = await createFolder(files);
    const waits: string[] = [];
    const checking = check({
      database: url,
      folder,
      waitMs: 60_000,
      onWait: ({ reason }) => {
        waits.push(reason);
        return deploy({ database: url, folder });
      },
    });

    expect((await checking).result).toBe('up-to-date');
    expect(waits[0]).toBe('3 alterations are pending.');
  });

  test('is pending when the wait is over', async () => {
    const checked = await check({ database: url, folder: await createFolder(files), waitMs: 10 });

    expect(checked.result).toBe('pending');
    expect(await isEmpty()).toBe(true);
  });

  test('ends its wait at once when it is asked to stop', async () => {
    const stop = new AbortController();
    const reason = new library.StoppedError('SIGINT');
    const folder = await createFolder(files);

    const checking = check({
      database: url,
      folder,
      waitMs: 600_000,
      stop: stop.signal,
      onWait: () => stop.abort(reason),
    });

    expect(await failureOf(checking)).toBe(reason);
  });
});

describe('release', () => {
  const nextFiles = {
    '1.4.0-1-old.sql': 'select 1;',
    'next-2-module.ts': moduleText('', ''),
    'next-3-pair.up.sql': 'select 3;',
    'next-3-pair.down.sql': 'select 3;',
    'utils/next-9-helper.ts': '',
  };
  const released = [
    '1.4.0-1-old.sql',
    '1.5.0-2-module.ts',
    '1.5.0-3-pair.down.sql',
    '1.5.0-3-pair.up.sql',
    'utils',
  ];
  const unreleased = Object.keys({ ...nextFiles, utils: '' }).filter((name) => !name.includes('/'));

  const readNames = async (folder: string) => (await readdir(folder)).sort();

  test('renames what is not released, where there is no repository', async () => {
    const folder = await createFolder(nextFiles);

    const report = await release({ folder, version: 'v1.5.0' });

    expect(library.releaseReportSchema.parse(report)).toMatchObject({
      version: '1.5.0',
      renamed: [
        { from: 'next-2-module.ts', to: '1.5.0-2-module.ts' },
        { from: 'next-3-pair.up.sql', to: '1.5.0-3-pair.up.sql' },
        { from: 'next-3-pair.down.sql', to: '1.5.0-3-pair.down.sql' },
      ],
    });
    expect(await readNames(folder)).toEqual(released);
  });

  test('renames for git too what git tracks', async () => {
    const folder = await createFolder(nextFiles);
    const git = async (...args: string[]) =>
      (await promisify(execFile)('git', args, { cwd: folder })).stdout.split('\n').filter(Boolean).sort();
    await git('init', '-q', '..');
    await git('add', 'next-2-module.ts', 'next-3-pair.up.sql');

    await release({ folder, version: '1.5.0' });

    expect(await git('ls-files')).toEqual(['1.5.0-2-module.ts', '1.5.0-3-pair.up.sql']);
    expect(await readNames(folder)).toEqual(released);
  });

  test('writes a prerelease with an underscore', async () => {
    const folder = await createFolder({ 'next-2-module.ts': '' });

    await release({ folder, version: '2.0.0-rc.1' });

    expect(await readNames(folder)).toEqual(['2.0.0_rc.1-2-module.ts']);
  });

  test('renames nothing in a dry run', async () => {
    const folder = await createFolder(nextFiles);

    const { renamed } = await release({ folder, version: '1.5.0', dryRun: true });

    expect(renamed).toHaveLength(3);
    expect(await readNames(folder)).toEqual(unreleased.sort());
  });

  test('refuses a version lower than the highest, unless that is allowed', async () => {
    const folder = await createFolder(nextFiles);

    const error = await failureOf(release({ folder, version: '1.3.9' }));
    const untouched = await readNames(folder);
    const { renamed } = await release({ folder, version: '1.3.9', allowLower: true });

    expect(error).toMatchObject({
      code: 'usage',
      message: '1.3.9 is lower than 1.4.0, which has alterations already.',
    });
    expect(untouched).toEqual(unreleased.sort());
    expect(renamed).toHaveLength(3);
  });

  test('renames all or nothing', async () => {
    const folder = await createFolder(nextFiles);
    await mkdir(join(folder, '1.5.0-3-pair.up.sql'));
    const before = await readNames(folder);

    const error = await failureOf(release({ folder, version: '1.5.0' }));

    expect(error).toMatchObject({
      code: 'folder',
      message: expect.stringContaining('a file of that name exists'),
    });
    expect(await readNames(folder)).toEqual(before);
  });

  test('changes what is deployed into a version of its own, without running it again', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder, target: 'next' });

    await release({ folder, version: '1.5.0' });
    const report = await deploy({ database: url, folder, target: 'latest' });

    expect(report).toMatchObject({ applied: [], renamed: [{ id: '4', from: 'next', to: '1.5.0' }] });
    expect(await query(`select version from alteration_history where "timestamp" = '4'`)).toEqual([
      { version: '1.5.0' },
    ]);
    expect(await readRuns()).toEqual([1, 2, 3, 4, 30]);
  });
});

describe('create', () => {
  const readIdsOf = async (folder: string) =>
    (await readdir(folder)).map((name) => name.split('-')[1]).sort();

  test('writes alterations that can be deployed, each later than the one before', async () => {
    const folder = await createFolder({});

    const reports = [
      await create({ folder, name: 'Add users' }),
      await create({ folder, name: 'addUserNames', kind: 'sql-pair' }),
      await create({ folder, name: 'Élan & Übermut!', kind: 'sql' }),
    ];
    const deployed = await deploy({ database: url, folder, target: 'next' });

    const ids = reports.map((report) => library.createReportSchema.parse(report).id);
    expect(reports.flatMap((report) => report.files)).toEqual([
      `next-${ids[0]}-add-users.ts`,
      `next-${ids[1]}-add-user-names.up.sql`,
      `next-${ids[1]}-add-user-names.down.sql`,
      `next-${ids[2]}-elan-ubermut.sql`,
    ]);
    expect(ids.map(Number)).toEqual(ids.map(Number).toSorted((left, right) => left - right));
    expect(new Set(ids).size).toBe(3);
    expect(deployed.applied.map(({ id }) => id)).toEqual(ids);
  });

  test('gives a timestamp later than every one that is there', async () => {
    const folder = await createFolder({ '9.0.0-4000000000.7-far.sql': 'select 1;' });

    expect(await create({ folder, name: 'later' })).toMatchObject({ id: '4000000001' });
  });

  test('gives a timestamp of now otherwise', async () => {
    const folder = join(await createFolder({}), 'not', 'there');
    const before = Math.floor(Date.now() / 1_000);

    const { id } = await create({ folder, name: 'now' });

    expect(Number(id)).toBeGreaterThanOrEqual(before);
    expect(Number(id)).toBeLessThanOrEqual(Date.now() / 1_000);
  });

  test('never gives a timestamp twice, whoever asks at the same moment', async () => {
    const folder = await createFolder({ '1.0.0-4000000000-far.sql': '' });

    const runs = Array.from({ length: 8 }, (_, index) =>
      runCli(['create', index % 2 === 0 ? 'same name' : `name ${index}`, '--dir', folder]),
    );
    const here = Array.from({ length: 8 }, (_, index) =>
      create({ folder, name: index % 2 === 0 ? 'same name' : `name ${index}`, kind: 'sql' }),
    );
    const results = await Promise.all(runs);
    await Promise.all(here);

    expect(results.map(({ exitCode, stderr }) => exitCode || stderr)).toEqual(Array(8).fill(''));
    const ids = await readIdsOf(folder);
    expect(ids).toHaveLength(17);
    expect(new Set(ids).size).toBe(17);
  });

  test('does not overwrite', async () => {
    const folder = await createFolder({});
    const { files: names } = await create({ folder, name: 'users' });
    const path = join(folder, names[0] ?? '');
    const text = await readFile(path, 'utf8');

    await create({ folder, name: 'users' });

    expect(await readFile(path, 'utf8')).toBe(text);
    expect(await readdir(folder)).toHaveLength(2);
  });
});
