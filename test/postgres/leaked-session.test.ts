import pg from 'pg';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { Logger, RunEvent } from '../../src/index.ts';
import { lockKey } from '../../src/postgres/lock.ts';
import { runCli } from '../support/cli.ts';
import { createRole } from '../support/create-role.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { moduleText } from '../support/module-text.ts';

const { deploy, rollback, LockHeldError } = library;
const database = await createDatabase();
const { query, url } = database;

beforeEach(async () => {
  await emptyDatabase(database);
  await query('create table seen (id serial, state jsonb)');
});

type Files = Readonly<Record<string, string>>;

const noTransaction = '-- alteration: no-transaction\n';
const ask = (text: string) => `await connection.query(sql.unsafe\`${text}\`);`;

/** Writes down what the session of an alteration is like, its locks included: there is the runner's own. */
const look = `
  insert into public.seen (state) select pg_catalog.jsonb_build_object(
    'users', array[current_user, session_user],
    'settings', (
      select pg_catalog.jsonb_object_agg(name, setting) from pg_catalog.pg_settings where name not like 'transaction%'
    ),
    'undeclared', nullif(pg_catalog.current_setting('app.tenant', true), ''),
    'temporary', (
      select pg_catalog.count(*) from pg_catalog.pg_depend
      where refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and refobjid = pg_catalog.pg_my_temp_schema()
    ),
    'prepared', (select pg_catalog.count(*) from pg_catalog.pg_prepared_statements where from_sql),
    'cursors', (select pg_catalog.count(*) from pg_catalog.pg_cursors where is_holdable),
    'channels', (select pg_catalog.count(*) from pg_catalog.pg_listening_channels()),
    'locks', (
      select pg_catalog.jsonb_agg((classid::bigint << 32) | objid::bigint) from pg_catalog.pg_locks
      where locktype = 'advisory' and pid = pg_catalog.pg_backend_pid()
    )
  )`;

async function readSeen(): Promise<readonly unknown[]> {
  const rows = await query<{ state: unknown }>('select state from seen order by id');
  return rows.map(({ state }) => state);
}

/** A session with an open transaction that has done this. */
async function hold(statement: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  onTestFinished(() => client.end());
  await client.query(`begin; ${statement}`);
  return client;
}

interface Leaked {
  readonly alteration: string;
  readonly leaks: readonly string[];
}

/** Collects what is told of leaks. */
function watch() {
  const leaked: Leaked[] = [];
  const onEvent = (event: RunEvent) => {
    if (event.type === 'leaked') leaked.push({ alteration: event.alteration, leaks: event.leaks });
  };
  return { leaked, onEvent };
}

/** What leaks, and how it is told. */
const leaks: readonly [string, readonly string[]][] = [
  [`set search_path = ''`, ['setting search_path']],
  [`select pg_catalog.set_config('search_path', '', false)`, ['setting search_path']],
  [`set lock_timeout = '7s'`, ['setting lock_timeout']],
  [`set statement_timeout = '30s'`, ['setting statement_timeout']],
  ['set session_replication_role = replica', ['setting session_replication_role']],
  ['set standard_conforming_strings = off', ['setting standard_conforming_strings']],
  ['set default_transaction_read_only = on', ['setting default_transaction_read_only']],
  ['reset lock_timeout', ['setting lock_timeout']],
  [`set app.tenant = 'secret'`, []], // PostgreSQL does not list what no module has declared
  ['create temporary table scratch (id serial primary key)', ['temporary table scratch']],
  ['create temporary table alteration_history ()', ['temporary table alteration_history']],
  ['prepare p as select 1', ['prepared statement p']],
  ['select pg_advisory_lock(42), pg_advisory_lock(42)', ['advisory lock 42']],
  ['select pg_advisory_lock_shared(1, 2)', ['shared advisory lock (1, 2)']],
  ['listen jobs', ['channel jobs']],
];

/** What a no-transaction file may not do. */
const leaksElsewhere: readonly [string, readonly string[]][] = [
  ['set role pg_monitor', ['role pg_monitor']],
  ['set session authorization pg_monitor', ['session authorization pg_monitor']],
  ['declare c cursor with hold for select 1', ['cursor c']],
];

/** What others wait for is told always, and what would have kept the history from being written. */
const toldAnyway = (leak: string) => /advisory lock|^role|^session authorization/.test(leak);

/** A module whose beforeUp has this body, and whose `up` looks. */
const beforeUp = (body: string) => `import { sql } from 'slonik';
export default { beforeUp: async (connection) => { ${body} }, up: async (connection) => { ${ask(look)} } };`;

describe('what an alteration leaves in the session is told, and gone in the next one', () => {
  const everywhere = [...leaks, ...leaksElsewhere];
  const kinds: [string, (statement: string) => Files, readonly (readonly [string, readonly string[]])[]][] = [
    ['an SQL file', (statement) => ({ '1.0.0-2-leak.sql': statement }), everywhere],
    ['a module', (statement) => ({ '1.0.0-2-leak.ts': moduleText(ask(statement)) }), everywhere],
    [
      'a file without a transaction',
      (statement) => ({ '1.0.0-2-leak.sql': noTransaction + statement }),
      leaks,
    ],
    ['a beforeUp', (statement) => ({ '1.0.0-2-leak.ts': beforeUp(ask(statement)) }), leaks],
  ];

  test.each(leaksElsewhere)('%s, in a beforeUp', async (statement, told) => {
    const files = { '1.0.0-2-leak.ts': beforeUp(ask(statement)) };
    const { leaked, onEvent } = watch();

    await deploy({ database: url, folder: await createFolder(files), onEvent, tellLeaks: true });

    expect(leaked).toEqual([{ alteration: '1.0.0-2-leak.ts', leaks: told }]);
    expect(await readSeen()).toMatchObject([{ users: ['postgres', 'postgres'], cursors: 0 }]);
  });

  test.each(
    kinds.flatMap(([kind, filesOf, cases]) =>
      cases.flatMap(([statement, leaks]) => [
        { kind, statement, told: leaks, files: filesOf(statement), tellLeaks: true },
        { kind, statement, told: leaks.filter(toldAnyway), files: filesOf(statement), tellLeaks: false },
      ]),
    ),
  )('$statement, in $kind, all told: $tellLeaks', async ({ files, told, tellLeaks }) => {
    const folder = await createFolder({ '1.0.0-1-before.sql': look, ...files, '1.0.0-3-after.sql': look });
    const { leaked, onEvent } = watch();

    const report = await deploy({ database: url, folder, onEvent, tellLeaks });

    expect(report.applied).toHaveLength(3);
    const [before, ...after] = await readSeen();
    expect(before).toMatchObject({ locks: [expect.any(Number)], undeclared: null, temporary: 0 });
    expect(after).not.toEqual([]);
    expect(after).toEqual(after.map(() => before));
    expect(leaked).toEqual(told.length > 0 ? [{ alteration: Object.keys(files)[0], leaks: told }] : []);
  });

  test('all of it at once, and of each alteration its own', async () => {
    const folder = await createFolder({
      '1.0.0-1-before.sql': look,
      '1.0.0-2-much.sql': `set search_path = ''; create temporary table scratch (); prepare p as select 1; listen jobs`,
      '1.0.0-3-little.sql': 'select pg_advisory_lock(42)',
      '1.0.0-4-after.sql': look,
    });
    const { leaked, onEvent } = watch();

    await deploy({ database: url, folder, onEvent, tellLeaks: true });

    expect(leaked).toEqual([
      {
        alteration: '1.0.0-2-much.sql',
        leaks: ['setting search_path', 'temporary table scratch', 'prepared statement p', 'channel jobs'],
      },
      { alteration: '1.0.0-3-little.sql', leaks: ['advisory lock 42'] },
    ]);
    const [before, after] = await readSeen();
    expect(after).toEqual(before);
  });

  test('on its way down too', async () => {
    const folder = await createFolder({
      '0.9.0-1-first.up.sql': 'select 1',
      '0.9.0-1-first.down.sql': look,
      '1.0.0-2-leak.up.sql': look,
      '1.0.0-2-leak.down.sql': 'create temporary table scratch (); select pg_advisory_lock(42)',
      '0.8.0-0-zero.sql': 'select 1',
    });
    await deploy({ database: url, folder });
    const { leaked, onEvent } = watch();

    await rollback({ database: url, folder, target: '0.8.0', onEvent, tellLeaks: true });

    expect(leaked).toEqual([
      { alteration: '1.0.0-2-leak.up.sql', leaks: ['temporary table scratch', 'advisory lock 42'] },
    ]);
    const [before, after] = await readSeen();
    expect(after).toMatchObject({ ...Object(before), settings: expect.anything() });
  });

  test('of a connection with a role of its own', async () => {
    const { role, url: source } = await createRole(
      database,
      (name) => `grant create on schema public to ${name}; grant all on seen, seen_id_seq to ${name}`,
    );
    const folder = await createFolder({
      '1.0.0-1-before.sql': look,
      '1.0.0-2-leak.sql': `create temporary table scratch (); set search_path = ''; select pg_advisory_lock(42)`,
      '1.0.0-3-after.sql': look,
    });
    const { leaked, onEvent } = watch();

    await deploy({ database: source, folder, onEvent, tellLeaks: true });

    expect(leaked).toHaveLength(1);
    const [before, after] = await readSeen();
    expect(before).toMatchObject({ users: [role, role] });
    expect(after).toEqual(before);
  });
});

test('what an attempt has left that did not get its locks is gone before the next one', async () => {
  await query('create table t (id int)');
  const folder = await createFolder({
    '1.0.0-1-before.sql': look,
    '1.0.0-2-leak.sql': `${look}; select pg_advisory_lock(42); alter table t add column more int`,
  });
  const reader = await hold('lock table t in access share mode');
  const { leaked, onEvent } = watch();
  const free: Promise<unknown>[] = [];

  await deploy({
    database: url,
    folder,
    lockTimeoutMs: 100,
    onEvent: (event) => {
      onEvent(event);
      if (event.type !== 'retrying') return;
      // Others may have it between the attempts.
      free.push(reader.query('select pg_advisory_xact_lock(42)').then(() => reader.query('commit')));
    },
  });

  await Promise.all(free);
  expect(leaked).toEqual([
    { alteration: '1.0.0-2-leak.sql', leaks: ['advisory lock 42'] },
    { alteration: '1.0.0-2-leak.sql', leaks: ['advisory lock 42'] },
  ]);
  const [before, ...after] = await readSeen();
  expect(after).toEqual([before]);
});

describe('the runner’s own lock', () => {
  const key = lockKey({ schema: 'public', table: 'alteration_history' });

  test.each([
    'select pg_advisory_lock(42), pg_advisory_lock_shared(43), pg_advisory_lock(1, 2)',
    `select pg_advisory_lock(${key})`,
    `select pg_advisory_lock_shared(${key})`,
    `select pg_advisory_lock(${(key >> 32n) & 0x7fffffffn}::int, 7)`,
  ])('keeps others out after the reset of what was left by: %s', async (statement) => {
    await query('create table gate (open bool)');
    const folder = await createFolder({
      '1.0.0-1-leak.sql': statement,
      '1.0.0-2-stay.ts': moduleText(
        `while (!(await connection.exists(sql.unsafe\`select from gate\`))) await new Promise((r) => setTimeout(r, 10));`,
      ),
    });
    const under = Promise.withResolvers<void>();

    const deploying = deploy({
      database: url,
      folder,
      onEvent: (event) => event.type === 'started' && event.index === 2 && under.resolve(),
    });
    await under.promise;
    const error = await failureOf(deploy({ database: url, folder, lockWaitMs: 100 }));

    expect(error).toBeInstanceOf(LockHeldError);
    await query('insert into gate values (true)');
    expect((await deploying).applied).toHaveLength(2);
    expect(
      await query(`select from pg_locks where locktype = 'advisory' and database = (
      select oid from pg_database where datname = current_database())`),
    ).toEqual([]);
  });
});

describe('a leak', () => {
  const files = { '1.0.0-1-leak.sql': `set search_path = ''; create temporary table scratch ()` };
  const told = ['setting search_path', 'temporary table scratch'];

  test('is a line for debugging in the caller’s log', async () => {
    const lines: (readonly [keyof Logger, object, string])[] = [];
    const logger: Logger = {
      debug: (facts, message) => lines.push(['debug', facts, message]),
      info: (facts, message) => lines.push(['info', facts, message]),
      warn: (facts, message) => lines.push(['warn', facts, message]),
    };

    await deploy({ database: url, folder: await createFolder(files), logger, tellLeaks: true });

    expect(lines.filter(([, , message]) => message === 'left in the session and reset')).toEqual([
      ['debug', { alteration: '1.0.0-1-leak.sql', leaks: told }, 'left in the session and reset'],
    ]);
  });

  test.each([
    ['json', 'debug', /"level":"debug".*"leaks":\["setting search_path","temporary table scratch"\]/],
    [
      'pretty',
      'debug',
      /1\.0\.0-1-leak\.sql left in the session.*: setting search_path, temporary table scratch/,
    ],
  ])('is told by the command as %s at the level %s alone', async (format, level, line) => {
    const run = async (logLevel: string) => {
      await emptyDatabase(database);
      const args = [
        'deploy',
        '--log-format',
        format,
        '--log-level',
        logLevel,
        '--dir',
        await createFolder(files),
      ];
      return runCli(args, { env: { DB_URL: url } });
    };

    expect((await run(level)).stderr).toMatch(line);
    expect((await run('info')).stderr).not.toContain('temporary table scratch');
  });
});
