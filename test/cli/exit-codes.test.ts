import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorReportSchema } from '../../src/index.ts';
import { lockKey } from '../../src/postgres/lock.ts';
import type { CliResult } from '../support/cli.ts';
import { moduleText } from '../support/module-text.ts';
import { type Sandbox, type SandboxRun, useSandboxes } from '../support/sandbox.ts';
import { strictSchema } from '../support/strict-schema.ts';
import { waitUntil } from '../support/wait-until.ts';

const createSandbox = useSandboxes();

/** A run of the binary, what may happen meanwhile, and what it ends with. */
interface Case {
  readonly behaviour: string;
  /** The alterations folder. */
  readonly files?: Readonly<Record<string, string>>;
  readonly setUp?: (sandbox: Sandbox) => Promise<unknown>;
  /** `deploy latest` when left out. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>> | ((sandbox: Sandbox) => Readonly<Record<string, string>>);
  readonly meanwhile?: (sandbox: Sandbox, run: SandboxRun) => Promise<unknown>;
  /** What stderr must hold. */
  readonly says?: readonly (string | RegExp)[];
  /** What the database holds afterwards: nothing when left out. */
  readonly leaves?: { readonly applied: readonly string[]; readonly tables: readonly string[] };
}

const nothing = { applied: [], tables: [] } as const;
const first = { '1.0.0-1-first.sql': 'create table first (id int);' } as const;
const pair = {
  '1.0.0-1-a.up.sql': 'create table a (id int);',
  '1.0.0-1-a.down.sql': 'drop table a;',
} as const;
const onlyFirst = { applied: ['1'], tables: ['first'] } as const;
/** The alteration that is expected to leave nothing does this before it fails. */
const half = 'await connection.query(sql.unsafe`create table half (id int)`);';

const deployed = (sandbox: Sandbox) => sandbox.run(['deploy', 'next', '--json']);
const lockName = lockKey({ schema: 'public', table: 'alteration_history' }).toString();

async function holdLock(sandbox: Sandbox): Promise<void> {
  const client = await sandbox.connect();
  await client.query(`set application_name = 'somebody else'`);
  await client.query('select pg_advisory_lock($1)', [lockName]);
}

const gates = new Map<string, Client>();

/** What an alteration waits for with `pg_advisory_xact_lock(7)`. */
async function closeGate(sandbox: Sandbox): Promise<void> {
  const client = await sandbox.connect();
  await client.query('select pg_advisory_lock(7)');
  gates.set(sandbox.name, client);
}

async function openGate({ name }: Sandbox): Promise<void> {
  await gates.get(name)?.query('select pg_advisory_unlock(7)');
}

/** Process id of the deploy's session, once its query is one that has the text. */
function sessionIn({ query }: Sandbox, text: string): Promise<number> {
  return waitUntil(`a session is in "${text}"`, async () => {
    const [row] = await query<{ pid: number }>(
      `select pid from pg_stat_activity
      where datname = current_database() and application_name like 'alteration %' and position($1 in query) > 0`,
      [text],
    );
    return row?.pid;
  });
}

const terminate = (text: string) => async (sandbox: Sandbox) =>
  sandbox.query('select pg_terminate_backend($1)', [await sessionIn(sandbox, text)]);

async function runCase(
  exitCode: number,
  {
    files = first,
    setUp,
    args = ['deploy', 'latest'],
    env = {},
    meanwhile,
    says = [],
    leaves = nothing,
  }: Case,
): Promise<void> {
  const sandbox = await createSandbox(files);
  await setUp?.(sandbox);
  const run = sandbox.start([...args, '--json'], { env: typeof env === 'function' ? env(sandbox) : env });
  await meanwhile?.(sandbox, run);
  const result = await run.result;
  expect(result).toMatchObject({ exitCode, signal: null });
  for (const text of says) expect(result.stderr).toMatch(text);
  expectNoTrace(result);
  expectReport(result, exitCode);
  expect(await readDatabase(sandbox)).toEqual(leaves);
}

function expectNoTrace({ stdout, stderr }: CliResult): void {
  expect(stdout + stderr).not.toMatch(/^ {4}at |node:internal|\[object |undefined|defect/m);
}

/** With --json there is one document on stdout, and a failure's tells the exit code and the message of stderr. */
function expectReport({ stdout, stderr }: CliResult, exitCode: number): void {
  const document: unknown = JSON.parse(stdout);
  if (typeof document !== 'object' || document === null || !('error' in document)) {
    expect([0, 3, 8]).toContain(exitCode);
    return;
  }
  strictSchema(errorReportSchema).parse(document);
  const { error } = errorReportSchema.parse(document);
  expect(error.exitCode).toBe(exitCode);
  expect(stderr).toContain(error.message);
}

/** Applied alterations and tables, after the run's session has gone. */
async function readDatabase({ query }: Sandbox) {
  await waitUntil('no session of the run is left', async () => {
    const rows = await query(
      `select from pg_stat_activity where datname = current_database() and application_name like 'alteration %'`,
    );
    return rows.length === 0;
  });
  const tables = await query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v') order by 1`,
  );
  const names = tables.map(({ name }) => name);
  if (!names.includes('alteration_history')) return { applied: [], tables: names };
  const rows = await query<{ row: string }>(
    `select "timestamp" || case to_jsonb(h) ->> 'state' when 'started' then ' half done' else '' end as row
    from alteration_history as h order by 1`,
  );
  return {
    applied: rows.map(({ row }) => row),
    tables: names.filter((name) => name !== 'alteration_history'),
  };
}

function describeCases(title: string, exitCode: number, cases: readonly Case[]): void {
  describe.concurrent(title, () => {
    for (const one of cases) test(one.behaviour, () => runCase(exitCode, one)); // test.for cuts long names
  });
}

describeCases('0: done, or nothing to do', 0, [
  { behaviour: 'deploys what is pending', leaves: onlyFirst },
  { behaviour: 'has nothing to do when all is applied', setUp: deployed, leaves: onlyFirst },
  { behaviour: 'has nothing to do in an empty folder', files: {} },
  { behaviour: 'shows what it would do', args: ['deploy', 'latest', '--dry-run'] },
  {
    behaviour: 'applies a file that holds comments only',
    files: { '1.0.0-1-note.sql': '-- nothing to do here' },
    leaves: { applied: ['1'], tables: [] },
  },
  { behaviour: 'lists', args: ['list'] },
  { behaviour: 'shows the status', args: ['status'] },
  { behaviour: 'finds the database up to date', setUp: deployed, args: ['check'], leaves: onlyFirst },
  { behaviour: 'records a baseline', args: ['baseline', 'latest'], leaves: { applied: ['1'], tables: [] } },
  {
    behaviour: 'rolls back',
    files: pair,
    setUp: deployed,
    args: ['rollback', '0.0.0', '--yes'],
  },
  { behaviour: 'needs no --yes when nothing is to be rolled back', args: ['rollback', '1.0.0'] },
]);

describeCases('2: the command makes no sense', 2, [
  {
    behaviour: 'refuses an unknown command and suggests one',
    args: ['deploi'],
    says: ['"deploi"', 'Did you mean deploy?'],
  },
  {
    behaviour: 'refuses an unknown option and suggests one',
    args: ['deploy', '--dry-rum'],
    says: ['"--dry-rum"', 'Did you mean --dry-run?'],
  },
  { behaviour: 'refuses a second target', args: ['deploy', '1.0.0', '2.0.0'], says: ['deploy'] },
  { behaviour: 'refuses a rollback without a target', args: ['rollback'], says: ['target'] },
  {
    behaviour: 'refuses a target that is none',
    args: ['deploy', 'newest'],
    says: ['"newest" is not a target'],
  },
  {
    behaviour: 'refuses half a version and suggests a whole one',
    args: ['deploy', '1.4'],
    says: ['"1.4"', '"1.4.0"'],
  },
  {
    behaviour: 'suggests a target that is nearly one',
    args: ['check', 'lates'],
    says: ['"lates"', 'Did you mean latest?'],
  },
  {
    behaviour: 'refuses a duration without a unit',
    args: ['deploy', '--lock-wait', '5'],
    says: ['--lock-wait: "5"', '5s'],
  },
  {
    behaviour: 'tells all wrong settings at once',
    args: ['deploy', '--lock-wait', 'long'],
    env: { ALTERATION_LOG_LEVEL: 'loud', ALTERATION_STRICT_ORDER: 'maybe' },
    says: ['--lock-wait: "long"', 'ALTERATION_LOG_LEVEL: "loud"', 'ALTERATION_STRICT_ORDER: "maybe"'],
  },
  {
    behaviour: 'refuses to roll back unasked where nobody can be asked',
    files: pair,
    setUp: deployed,
    args: ['rollback', '0.0.0'],
    says: ['1 alteration needs --yes'],
    leaves: { applied: ['1'], tables: ['a'] },
  },
  {
    behaviour: 'refuses to roll back what has no down, naming all',
    files: { ...first, '1.1.0-2-second.sql': 'create table second (id int);' },
    setUp: deployed,
    args: ['rollback', '0.0.0', '--yes'],
    says: ['"1.0.0-1-first.sql" has no down', '"1.1.0-2-second.sql" has no down'],
    leaves: { applied: ['1', '2'], tables: ['first', 'second'] },
  },
  {
    behaviour: 'refuses a baseline over rows',
    setUp: deployed,
    args: ['baseline', 'latest'],
    says: ['"public.alteration_history"'],
    leaves: onlyFirst,
  },
]);

describeCases('2: the configuration is wrong', 2, [
  {
    behaviour: 'names the variable when no database is named',
    env: { DB_URL: '' },
    says: ['No database is named', 'DB_URL'],
  },
  {
    behaviour: 'refuses a database URL that is none',
    env: { DB_URL: 'db.example.com' },
    says: ['database URL', 'postgres://'],
  },
  {
    behaviour: 'refuses the URL of another database',
    env: { DB_URL: 'mysql://u:p@h/d' },
    says: ['database URL', 'postgres://'],
  },
  {
    behaviour: 'refuses a database URL that cannot be parsed, without showing it',
    env: ({ url }) => ({ DB_URL: url.replace(/:\d+\//, ':port/') }),
    says: ['database URL'],
  },
  {
    behaviour: 'refuses an unknown key of the config file and suggests one',
    setUp: ({ root }) => writeFile(join(root, 'alteration.config.json'), '{ "lockWiat": "5s" }'),
    says: ['"lockWiat" in "alteration.config.json"', '"lockWait"'],
  },
  {
    behaviour: 'refuses a wrong value in the config file',
    setUp: ({ root }) => writeFile(join(root, 'alteration.config.ts'), `export default { lockWait: '5' };`),
    says: ['lockWait in alteration.config.ts: "5"'],
  },
  {
    behaviour: 'refuses a config file that cannot be loaded',
    setUp: ({ root }) => writeFile(join(root, 'alteration.config.json'), '{ lockWait }'),
    says: ['"alteration.config.json" cannot be loaded'],
  },
  {
    behaviour: 'refuses a named config file that is missing',
    args: ['deploy', '--config', 'nowhere.json'],
    says: ['"nowhere.json"'],
  },
  {
    behaviour: 'refuses a named env file that is missing',
    env: { ALTERATION_ENV_FILE: '.env.prod' },
    says: ['".env.prod"'],
  },
]);

/** A role without any privilege, in a database where public has none either. */
async function createPoorRole({ name, query }: Sandbox): Promise<void> {
  await query(`create role ${name}_poor login password 'poor'`);
  await query('revoke create on schema public from public');
}

const poorUrl = ({ name, url }: Sandbox) => {
  const poor = new URL(url);
  poor.username = `${name}_poor`;
  poor.password = 'poor';
  return poor.href;
};

async function dropPoorRole({ name, query }: Sandbox, { result }: SandboxRun): Promise<void> {
  await result;
  await query(`drop owned by ${name}_poor; drop role ${name}_poor`);
}

const withUrl =
  (change: (url: URL) => void) =>
  ({ url }: Sandbox) => {
    const changed = new URL(url);
    change(changed);
    return { DB_URL: changed.href };
  };

describeCases('2: the database refuses', 2, [
  {
    behaviour: 'tells a wrong password',
    env: withUrl((url) => {
      url.password = 'wr0ng-one';
    }),
    says: ['refuses the connection: password authentication failed for user'],
  },
  {
    behaviour: 'tells an unknown database',
    env: withUrl((url) => {
      url.pathname = '/no_such_database';
    }),
    says: ['database "no_such_database" does not exist'],
  },
  {
    behaviour: 'tells a role that may not create the history',
    setUp: createPoorRole,
    env: (sandbox) => ({ DB_URL: poorUrl(sandbox) }),
    meanwhile: dropPoorRole,
    says: ['may not create the history table "public.alteration_history"', 'grant create on schema public'],
  },
  ...[['check'], ['list'], ['status'], ['deploy']].map((args) => ({
    behaviour: `tells a role that may not read the history: ${args}`,
    setUp: async (sandbox: Sandbox) => {
      await deployed(sandbox);
      await createPoorRole(sandbox);
    },
    args,
    env: (sandbox: Sandbox) => ({ DB_URL: poorUrl(sandbox) }),
    meanwhile: dropPoorRole,
    says: ['may not keep the history: permission denied for table alteration_history', 'Grant it'],
    leaves: onlyFirst,
  })),
  {
    behaviour: 'tells a role that may read the history and not write it',
    setUp: async (sandbox) => {
      await deployed(sandbox);
      await createPoorRole(sandbox);
      await sandbox.query(`grant select on alteration_history to ${sandbox.name}_poor`);
      await writeFile(join(sandbox.dir, '1.1.0-2-second.sql'), 'select 1;');
    },
    env: (sandbox) => ({ DB_URL: poorUrl(sandbox) }),
    meanwhile: dropPoorRole,
    says: ['may not write the history table "public.alteration_history"', 'grant select, insert'],
    leaves: onlyFirst,
  },
  {
    behaviour: 'tells a database that takes no changes',
    setUp: ({ name, query }) => query(`alter database ${name} set default_transaction_read_only = on`),
    says: ['takes no changes'],
  },
]);

describeCases('2: the folder cannot be', 2, [
  {
    behaviour: 'refuses a malformed name',
    files: { ...first, '1.0.0-two-second.sql': 'select 1' },
    says: ['"1.0.0-two-second.sql" has "two" where a timestamp belongs'],
  },
  {
    behaviour: 'refuses a timestamp that stands twice',
    files: { ...first, '1.1.0-1-second.sql': 'select 1' },
    says: ['"1.0.0-1-first.sql" and "1.1.0-1-second.sql"'],
  },
  {
    behaviour: 'refuses a folder that is missing',
    args: ['deploy', '--dir', 'nowhere'],
    says: [/nowhere" .*does not exist/],
  },
  {
    behaviour: 'refuses a release below an existing version',
    args: ['release', '0.9.0'],
    files: { ...first, 'next-2-second.sql': 'select 1' },
    says: ['0.9.0 is lower than 1.0.0'],
  },
  {
    behaviour: 'refuses a release that is no version',
    args: ['release', 'soon'],
    says: ['"soon" is not a version'],
  },
  {
    behaviour: 'refuses to create an alteration behind the last timestamp there is',
    files: { '1.0.0-9999999999-last.sql': 'select 1;' },
    args: ['create', 'more'],
    says: ['No timestamp of ten digits is later than the 9999999999'],
  },
]);

describeCases('3: alterations are pending', 3, [
  { behaviour: 'tells what is pending', args: ['check'] },
  {
    behaviour: 'looks no further than the target',
    files: { ...first, '1.1.0-2-second.sql': 'create table second (id int);' },
    setUp: (sandbox) => sandbox.run(['deploy', '1.0.0']),
    args: ['check', '1.1.0'],
    leaves: onlyFirst,
  },
  { behaviour: 'waits in vain', args: ['check', '--wait', '1s'], says: ['1 alteration is pending'] },
]);

/** Fails after the first alteration is applied. */
const failing = (behaviour: string, name: string, text: string, ...says: (string | RegExp)[]): Case => ({
  behaviour,
  files: { ...first, [name]: text },
  says: [`"${name}" failed`, ...says],
  leaves: onlyFirst,
});

/** Cannot be loaded, so that nothing is run at all. */
const unusable = (behaviour: string, name: string, text: string, ...says: (string | RegExp)[]): Case => ({
  behaviour,
  files: { ...first, [name]: text },
  says: [`"${name}"`, 'Nothing was run', ...says],
});

describeCases('4: an alteration failed and left nothing', 4, [
  failing(
    'tells an error of PostgreSQL with its place',
    '1.0.0-2-a.sql',
    'create table half (id int);\ninsert into halv values (1);\n',
    'relation "halv" does not exist',
    'alterations/1.0.0-2-a.sql:2:13',
    '\n  2 | insert into halv values (1);\n    |             ^\n',
    '42P01',
  ),
  failing(
    'tells a syntax error of a single statement with its place',
    '1.0.0-2-a.sql',
    '-- one\ncreate tabel half (id int);',
    'syntax error at or near "tabel"',
    'alterations/1.0.0-2-a.sql:2:8',
  ),
  unusable(
    'runs nothing when one of several statements has a syntax error',
    '1.0.0-2-a.sql',
    'create table half (id int);\ncreate tabel b (id int);',
    'syntax error at or near "tabel"',
    'alterations/1.0.0-2-a.sql:2:8',
  ),
  failing(
    'tells an error of a script with its place',
    '1.0.0-2-a.ts',
    moduleText(`${half}\nthrow new Error('the moon is full');`),
    'the moon is full',
    'alterations/1.0.0-2-a.ts:4:7',
  ),
  failing(
    'points at the error in a statement with parameters',
    '1.0.0-2-a.ts',
    moduleText(`${half}\nawait connection.query(sql.unsafe\`select \${1}::int, nope\`);`),
    'column "nope" does not exist',
    '\n  1 | select $1::int, nope\n    |                 ^\n',
  ),
  failing(
    'tells the statement of a script that PostgreSQL refused',
    '1.0.0-2-a.ts',
    moduleText(`${half}\nawait connection.query(sql.unsafe\`insert into halv values (1)\`);`),
    'relation "halv" does not exist',
    'insert into halv values (1)',
    'alterations/1.0.0-2-a.ts:4',
  ),
  unusable(
    'tells a syntax error in TypeScript with its place',
    '1.0.0-2-a.ts',
    'export default {\n  up: async () => { const = 3; },\n};\n',
    'not valid TypeScript',
    'alterations/1.0.0-2-a.ts:2:27',
  ),
  unusable(
    'tells a module without up',
    '1.0.0-2-a.ts',
    'export default { down: async () => {} };',
    'has no "up"',
  ),
  unusable(
    'tells a module without a default export',
    '1.0.0-2-a.ts',
    'export const up = 1;',
    'no default export',
  ),
  unusable(
    'tells a module that imports what is not there',
    '1.0.0-2-a.ts',
    `import { x } from './utils/x.js';\nexport default { up: async () => x };`,
    'utils/x',
  ),
  unusable('tells an SQL file of 0 bytes', '1.0.0-2-a.sql', '', 'is empty'),
  unusable('tells a module of 0 bytes', '1.0.0-2-a.ts', '', 'no default export'),
  failing(
    'is not ended by process.exit(0) in up',
    '1.0.0-2-a.ts',
    moduleText(`${half} process.exit(0);`),
    'it called process.exit(0)',
    'alterations/1.0.0-2-a.ts:3',
  ),
  unusable(
    'is not ended by process.exit(0) at top level',
    '1.0.0-2-a.ts',
    'process.exit(0);\nexport default { up: async () => {} };',
    'it called process.exit(0)',
  ),
  failing(
    'is not ended by process.exit(0) from a timer',
    '1.0.0-2-a.ts',
    moduleText(
      `${half} setTimeout(() => process.exit(0), 1); await new Promise((settle) => setTimeout(settle, 600_000));`,
    ),
    'it called process.exit(0)',
  ),
  failing(
    'is not ended by an exit that is imported',
    '1.0.0-2-a.ts',
    moduleText(`${half} exit(0);`, `import { exit } from 'node:process';\nimport { sql } from 'slonik';`),
    'it called process.exit(0)',
  ),
  failing(
    'is not ended by process.reallyExit(0)',
    '1.0.0-2-a.ts',
    moduleText(`${half} process.reallyExit(0);`),
    'it called process.exit(0)',
  ),
  failing(
    'tells a string that a script throws',
    '1.0.0-2-a.ts',
    moduleText(`${half} throw 'tantrum';`),
    '"tantrum", which is not an Error',
  ),
  failing(
    'tells an object that a script throws',
    '1.0.0-2-a.ts',
    moduleText(`${half} throw { code: 'E1' };`),
    'which is not an Error',
  ),
  failing(
    'tells null that a script throws',
    '1.0.0-2-a.ts',
    moduleText(`${half} throw null;`),
    'null, which is not an Error',
  ),
  failing(
    'tells a script that never settles',
    '1.0.0-2-a.ts',
    moduleText(`${half} await new Promise(() => {});`),
    'it never settles',
  ),
  unusable(
    'tells a module that never comes to its end',
    '1.0.0-2-a.ts',
    'await new Promise(() => {});\nexport default { up: async () => {} };',
    'it never settles',
  ),
  failing(
    'tells a rejection that nothing handles',
    '1.0.0-2-a.ts',
    moduleText(
      `${half} Promise.reject(new Error('nobody listens')); await new Promise((settle) => setTimeout(settle, 600_000));`,
    ),
    'nobody listens',
  ),
  failing(
    'tells an error that a script threw in a timer',
    '1.0.0-2-a.ts',
    moduleText(
      `${half} setTimeout(() => { throw new Error('too late'); }); await new Promise((settle) => setTimeout(settle, 600_000));`,
    ),
    'too late',
  ),
  failing(
    'tells a script that goes on after a failed statement',
    '1.0.0-2-a.ts',
    moduleText(`${half} await connection.query(sql.unsafe\`select nope\`).catch(() => {});`),
    'it went on after one of its statements had failed',
  ),
  {
    behaviour: 'tells a down that fails, and leaves what it was to take back',
    files: {
      ...first,
      '1.1.0-2-a.up.sql': 'create table a (id int);',
      '1.1.0-2-a.down.sql': 'drop table a; drop table b;',
    },
    setUp: deployed,
    args: ['rollback', '1.0.0', '--yes'],
    says: ['"1.1.0-2-a.down.sql" failed in down: table "b" does not exist', '1.1.0-2-a.down.sql:1:15'],
    leaves: { applied: ['1', '2'], tables: ['a', 'first'] },
  },
]);

const halfDone = { applied: ['1'], tables: ['first', 'half'] } as const;
const beforeUp = (body: string) =>
  `import { sql } from 'slonik';\nexport default { beforeUp: async (connection) => { ${half} ${body} }, up: async () => {} };`;

describeCases('5: an alteration failed half-way', 5, [
  {
    behaviour: 'tells a beforeUp that PostgreSQL refuses',
    files: { ...first, '1.0.0-2-a.ts': beforeUp('await connection.query(sql.unsafe`select nope`);') },
    says: ['"1.0.0-2-a.ts" failed in beforeUp: column "nope" does not exist', 're-runnable'],
    leaves: halfDone,
  },
  {
    behaviour: 'tells a beforeUp that calls process.exit(0)',
    files: { ...first, '1.0.0-2-a.ts': beforeUp('process.exit(0);') },
    says: ['"1.0.0-2-a.ts" failed in beforeUp: it called process.exit(0)'],
    leaves: halfDone,
  },
  {
    behaviour: 'tells a beforeUp that never settles',
    files: { ...first, '1.0.0-2-a.ts': beforeUp('await new Promise(() => {});') },
    says: ['"1.0.0-2-a.ts" failed in beforeUp: it never settles'],
    leaves: halfDone,
  },
  {
    behaviour: 'tells how far a no-transaction file came',
    files: {
      ...first,
      '1.0.0-2-a.sql':
        '-- alteration: no-transaction\ncreate table half (id int);\ninsert into halv values (1);\nselect 1;',
    },
    says: [
      'relation "halv" does not exist',
      '1.0.0-2-a.sql:3:13',
      '1 of its 3 statements are done',
      'statement 2',
    ],
    leaves: { applied: ['1', '2 half done'], tables: ['first', 'half'] },
  },
]);

describeCases('6: another instance holds the lock', 6, [
  {
    behaviour: 'gives up deploying after the lock wait and names the holder',
    setUp: holdLock,
    args: ['deploy', 'latest', '--lock-wait', '1s'],
    says: ['Waiting: the lock is held', '"somebody else"'],
  },
  {
    behaviour: 'gives up at once when it is not to wait',
    setUp: holdLock,
    args: ['deploy', 'latest', '--lock-wait', '0'],
    says: ['"somebody else"'],
  },
  {
    behaviour: 'gives up rolling back',
    files: pair,
    setUp: async (sandbox) => {
      await deployed(sandbox);
      await holdLock(sandbox);
    },
    args: ['rollback', '0.0.0', '--yes', '--lock-wait', '0'],
    says: ['"somebody else"'],
    leaves: { applied: ['1'], tables: ['a'] },
  },
  {
    behaviour: 'gives up recording a baseline',
    setUp: holdLock,
    args: ['baseline', 'latest', '--lock-wait', '0'],
    says: ['"somebody else"'],
  },
  {
    behaviour: 'gives up while another process deploys',
    files: {
      ...first,
      '1.0.0-2-stay.sql': 'create table second (id int); select pg_advisory_xact_lock(7);',
    },
    setUp: async (sandbox) => {
      await closeGate(sandbox);
      sandbox.start(['deploy', '1.0.0', '--json']);
      await sessionIn(sandbox, 'pg_advisory_xact_lock(7)');
    },
    args: ['deploy', 'latest', '--lock-wait', '1s'],
    meanwhile: async (sandbox, { result }) => {
      await result;
      await openGate(sandbox);
    },
    says: ['"alteration deploy 1.0.0"'],
    leaves: { applied: ['1', '2'], tables: ['first', 'second'] },
  },
]);

const never = 'await new Promise((settle) => setTimeout(settle, 600_000));';

describeCases('7: the session was lost', 7, [
  {
    behaviour: 'tells a session that is terminated in a statement of an SQL file',
    files: { ...first, '1.0.0-2-a.sql': 'create table half (id int); select pg_sleep(600);' },
    meanwhile: terminate('pg_sleep'),
    says: ['session was lost while "1.0.0-2-a.sql" was in up', 'Run it again'],
    leaves: onlyFirst,
  },
  {
    behaviour: 'tells a session that is terminated in a query of a script',
    files: {
      ...first,
      '1.0.0-2-a.ts': moduleText(`${half} await connection.query(sql.unsafe\`select pg_sleep(600)\`);`),
    },
    meanwhile: terminate('pg_sleep'),
    says: ['session was lost while "1.0.0-2-a.ts" was in up'],
    leaves: onlyFirst,
  },
  {
    behaviour: 'does not wait for a script that never settles',
    files: { ...first, '1.0.0-2-a.ts': moduleText(`${half} ${never}`) },
    meanwhile: terminate('create table half'),
    says: ['session was lost while "1.0.0-2-a.ts" was in up'],
    leaves: onlyFirst,
  },
  {
    behaviour: 'tells a session that is terminated in beforeUp',
    files: { ...first, '1.0.0-2-a.ts': beforeUp(never) },
    meanwhile: terminate('create table half'),
    says: ['session was lost while "1.0.0-2-a.ts" was in beforeUp'],
    leaves: halfDone,
  },
  {
    behaviour: 'tells a session that is terminated while it waits for the lock',
    setUp: holdLock,
    meanwhile: async (sandbox, run) => {
      await waitUntil('it waits', async () => run.stderr().includes('Waiting: the lock is held'));
      await terminate('')(sandbox);
    },
    says: ['session was lost'],
  },
]);

const downOf = (second: string) => `-- alteration: no-transaction\ndrop table a;\n${second};\ndrop table b;`;
const pairOfTwo = {
  '1.0.0-1-a.up.sql': 'create table a (id int); create table b (id int);',
  '1.0.0-1-a.down.sql': downOf('drop table nowhere'),
} as const;

/** Deploys, and rolls back as far as it goes. */
async function rollBackHalf(sandbox: Sandbox): Promise<void> {
  await deployed(sandbox);
  expect(await sandbox.run(['rollback', '0.0.0', '--yes'])).toMatchObject({
    exitCode: 5,
    stderr: expect.stringContaining('the next rollback goes on with statement 2'),
  });
}

const changeHistory = (change: string) => async (sandbox: Sandbox) => {
  await deployed(sandbox);
  await sandbox.query(change);
};

/** Deploys, then writes a file of the folder anew. */
const writeAfter = (name: string, text: string) => async (sandbox: Sandbox) => {
  await deployed(sandbox);
  await writeFile(join(sandbox.dir, name), text);
};

describeCases('8: integrity', 8, [
  {
    behaviour: 'refuses to deploy over an edited file',
    setUp: writeAfter('1.0.0-1-first.sql', 'create table first (id bigint);'),
    says: ['"1.0.0-1-first.sql" was edited after it was applied', '--allow-edited'],
    leaves: onlyFirst,
  },
  {
    behaviour: 'finds an edited file in a check',
    setUp: writeAfter('1.0.0-1-first.sql', 'create table first (id bigint);'),
    args: ['check'],
    leaves: onlyFirst,
  },
  {
    behaviour: 'refuses to roll back an edited file',
    files: pair,
    setUp: writeAfter('1.0.0-1-a.up.sql', 'create table a (id bigint);'),
    args: ['rollback', '0.0.0', '--yes'],
    says: ['"1.0.0-1-a.up.sql" was edited'],
    leaves: { applied: ['1'], tables: ['a'] },
  },
  {
    behaviour: 'refuses a late alteration in strict order',
    files: { '1.1.0-1-first.sql': 'create table first (id int);' },
    setUp: writeAfter('1.0.0-2-late.sql', 'create table late (id int);'),
    args: ['deploy', 'latest', '--strict-order'],
    says: ['1.0.0-2-late.sql'],
    leaves: onlyFirst,
  },
  {
    behaviour: 'finds a late alteration in a strict check',
    files: { '1.1.0-1-first.sql': 'create table first (id int);' },
    setUp: writeAfter('1.0.0-2-late.sql', 'create table late (id int);'),
    args: ['check', '--strict-order'],
    leaves: onlyFirst,
  },
  {
    behaviour: 'refuses to go on when what is half done was edited',
    files: { '1.0.0-1-a.sql': '-- alteration: no-transaction\ncreate table half (id int);\nselect nope;' },
    setUp: writeAfter(
      '1.0.0-1-a.sql',
      '-- alteration: no-transaction\ncreate table half (id bigint);\nselect 1;',
    ),
    says: ['Statement 1 of "1.0.0-1-a.sql" was edited after it was run'],
    leaves: { applied: ['1 half done'], tables: ['half'] },
  },
  {
    behaviour: 'finds what is half rolled back in a check',
    files: pairOfTwo,
    setUp: rollBackHalf,
    args: ['check'],
    leaves: { applied: ['1'], tables: ['b'] },
  },
  {
    behaviour: 'refuses to deploy over what is half rolled back',
    files: pairOfTwo,
    setUp: rollBackHalf,
    says: ['half rolled back'],
    leaves: { applied: ['1'], tables: ['b'] },
  },
  {
    behaviour: 'refuses the history of a newer runner',
    setUp: changeHistory(`comment on table alteration_history is 'alteration history, version 99'`),
    says: ['"public.alteration_history" was written by a newer runner'],
    leaves: onlyFirst,
  },
  {
    behaviour: 'refuses a table that is no history',
    setUp: ({ query }) => query('create table users (id int)'),
    args: ['deploy', '--history-table', 'users'],
    says: ['"public.users" exists and is not an alteration history'],
    leaves: { applied: [], tables: ['users'] },
  },
  {
    behaviour: 'names rows that make no sense',
    setUp: changeHistory(`insert into alteration_history
      select 'yesterday', 'soon', name, checksum, applied_at, duration_ms, role, host, runner, deploy_id, state
      from alteration_history`),
    says: ['rows that make no sense', 'Row "yesterday"', 'timestamp', 'version'],
    leaves: { applied: ['1', 'yesterday'], tables: ['first'] },
  },
]);

describe('a database that cannot be reached', () => {
  const ports = { closed: 0, rude: 0, mute: 0 };
  const servers: Server[] = [];

  async function listen(onConnection: (socket: Socket) => void): Promise<number> {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      onConnection(socket);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
    const address = server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the server has no port');
    return address.port;
  }

  beforeAll(async () => {
    ports.rude = await listen((socket) => socket.destroy());
    ports.mute = await listen(() => undefined);
    ports.closed = await listen(() => undefined);
    servers.pop()?.close();
  });
  afterAll(() => {
    for (const server of servers) server.close();
  });

  const at = (port: keyof typeof ports) => (sandbox: Sandbox) =>
    withUrl((url) => {
      url.hostname = '127.0.0.1';
      url.port = String(ports[port]);
    })(sandbox);

  describeCases('9: not reachable', 9, [
    {
      behaviour: 'tells a port where nothing listens',
      env: at('closed'),
      says: [/at 127\.0\.0\.1:\d+ cannot be reached/],
    },
    {
      behaviour: 'tells an unknown host',
      env: withUrl((url) => {
        url.hostname = 'no-such-host.invalid';
      }),
      says: ['at no-such-host.invalid:'],
    },
    { behaviour: 'tells a server that hangs up', env: at('rude'), says: ['cannot be reached'] },
    { behaviour: 'tells a server that says nothing', env: at('mute'), says: ['cannot be reached'] },
    {
      behaviour: 'waits in vain for a database in a check',
      env: at('closed'),
      args: ['check', '--wait', '1s'],
      says: ['cannot be reached'],
    },
    {
      behaviour: 'tells a role that has no connection left',
      setUp: ({ query, name }) => query(`create role ${name}_poor login password 'poor' connection limit 0`),
      env: (sandbox) => ({ DB_URL: poorUrl(sandbox) }),
      meanwhile: dropPoorRole,
      says: ['too many connections for role'],
    },
  ]);
});

const long = {
  ...first,
  '1.0.0-2-second.sql': 'create table second (id int); select pg_advisory_xact_lock(7);',
  '1.0.0-3-third.sql': 'create table third (id int);',
} as const;
const upToSecond = { applied: ['1', '2'], tables: ['first', 'second'] } as const;

/** Sends the signal in the second alteration, and lets it go on when the signal has arrived. */
const interrupt = (signal: NodeJS.Signals) => async (sandbox: Sandbox, run: SandboxRun) => {
  await sessionIn(sandbox, 'pg_advisory_xact_lock(7)');
  run.kill(signal);
  await waitUntil('the signal has arrived', async () => run.stderr().includes('Stopping.'));
  await openGate(sandbox);
};

const interruptWait = (signal: NodeJS.Signals) => async (_: Sandbox, run: SandboxRun) => {
  await waitUntil('it waits', async () => run.stderr().includes('Waiting: the lock is held'));
  run.kill(signal);
};

const interruptTwice = (signal: NodeJS.Signals) => async (sandbox: Sandbox, run: SandboxRun) => {
  await sessionIn(sandbox, 'pg_advisory_xact_lock(7)');
  run.kill(signal);
  await waitUntil('the signal has arrived', async () => run.stderr().includes('Stopping.'));
  run.kill(signal);
};

const historyLocks = new Map<string, Client>();

async function lockHistory(sandbox: Sandbox): Promise<void> {
  await deployed(sandbox);
  const client = await sandbox.connect();
  await client.query('begin; lock table alteration_history in access exclusive mode');
  historyLocks.set(sandbox.name, client);
}

/** Sends the signal so many times, each when the one before has arrived, while a query waits for the history. */
const interruptQuery =
  (signal: NodeJS.Signals, times: 1 | 2) =>
  async ({ name, query }: Sandbox, run: SandboxRun) => {
    await waitUntil('a query waits for the history', async () => {
      const rows = await query(
        `select from pg_stat_activity where datname = current_database()
        and application_name like 'alteration %' and wait_event_type = 'Lock'`,
      );
      return rows.length === 1;
    });
    run.kill(signal);
    if (times === 2) {
      await waitUntil('the signal has arrived', async () => run.stderr().includes('Stopping.'));
      run.kill(signal);
    }
    await run.result;
    await historyLocks.get(name)?.query('rollback');
  };

for (const [exitCode, signal] of [
  [130, 'SIGINT'],
  [143, 'SIGTERM'],
] as const) {
  describeCases(`${exitCode}: stopped by ${signal}`, exitCode, [
    {
      behaviour: 'finishes the alteration under way and leaves the rest pending',
      files: long,
      setUp: closeGate,
      meanwhile: interrupt(signal),
      says: [`Stopped by ${signal}`],
      leaves: upToSecond,
    },
    {
      behaviour: 'stops at once while it waits for the lock',
      setUp: holdLock,
      meanwhile: interruptWait(signal),
      says: [`Stopped by ${signal}`],
    },
    {
      behaviour: 'abandons the alteration under way when it is told twice',
      files: long,
      setUp: closeGate,
      meanwhile: interruptTwice(signal),
      says: [`Stopped by ${signal}`],
      leaves: onlyFirst,
    },
    ...['check', 'list', 'status'].map((command) => ({
      behaviour: `ends ${command} at once while its query waits for the history`,
      setUp: lockHistory,
      args: [command],
      meanwhile: interruptQuery(signal, 1),
      says: [`Stopped by ${signal}`],
      leaves: onlyFirst,
    })),
    {
      behaviour: 'abandons a deploy whose query waits for the history when it is told twice',
      setUp: lockHistory,
      meanwhile: interruptQuery(signal, 2),
      says: [`Stopped by ${signal}`],
      leaves: onlyFirst,
    },
    {
      behaviour: 'ends a wait of a check',
      args: ['check', '--wait', '10m'],
      meanwhile: async (_, run) => {
        await waitUntil('it waits', async () => run.stderr().includes('Waiting'));
        run.kill(signal);
      },
      says: [`Stopped by ${signal}`],
    },
  ]);
}

test('goes on after a stop, and after a failure half-way, as if nothing had been', async () => {
  const sandbox = await createSandbox({
    ...first,
    '1.0.0-2-a.sql': '-- alteration: no-transaction\ncreate table second (id int);\nselect * from third;',
  });
  expect(await sandbox.run(['deploy'])).toMatchObject({ exitCode: 5 });
  await sandbox.query('create table third (id int)');
  expect(await sandbox.run(['deploy'])).toMatchObject({ exitCode: 0 });
  expect(await readDatabase(sandbox)).toEqual({ applied: ['1', '2'], tables: ['first', 'second', 'third'] });
});

test('a rollback goes on after a failure half-way, once its file is mended', async () => {
  const sandbox = await createSandbox(pairOfTwo);
  await rollBackHalf(sandbox);
  expect(await sandbox.run(['check'])).toMatchObject({
    exitCode: 8,
    stdout: expect.stringContaining('Half rolled back: 1.0.0-1-a'),
  });
  const { stdout } = await sandbox.run(['list']);
  expect(stdout).toContain('a (half rolled back: 1 statement)');
  await writeFile(join(sandbox.dir, '1.0.0-1-a.down.sql'), downOf('select 1'));
  expect(await sandbox.run(['rollback', '0.0.0', '--yes'])).toMatchObject({ exitCode: 0 });
  expect(await readDatabase(sandbox)).toEqual(nothing);
});

/** Rejects as soon as the alteration is told to be finished: its promise has settled by then, and its row stands. */
const leaveBehind = `
  const { write } = process.stderr;
  process.stderr.write = (text, ...rest) => {
    if (String(text).includes('finished')) Promise.reject(new Error('left behind'));
    return write.call(process.stderr, text, ...rest);
  };`;

test('1: what a script left running fails when all is done: it is told, and what is applied stays applied', async () => {
  const sandbox = await createSandbox({ '1.0.0-1-a.ts': moduleText(`${half}${leaveBehind}`) });
  const { exitCode, stderr } = await sandbox.run(['deploy'], { env: { ALTERATION_LOG_FORMAT: 'json' } });
  expect(exitCode).toBe(1);
  expect(JSON.parse(stderr.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
    level: 'error',
    code: 'defect',
    msg: expect.stringContaining('left behind'),
    stack: expect.stringContaining('1.0.0-1-a.ts'),
  });
  expect(await readDatabase(sandbox)).toEqual({ applied: ['1'], tables: ['half'] });
});

test('4: what a script left running fails while the next alteration runs: that error is told', async () => {
  const sandbox = await createSandbox({
    '1.0.0-1-a.ts': moduleText(`${half} setTimeout(() => { throw new Error('left behind'); }, 1_000);`),
    '1.0.0-2-b.sql': 'select pg_sleep(60);',
  });
  const { exitCode, stderr } = await sandbox.run(['deploy']);
  expect(exitCode).toBe(4);
  expect(stderr).toContain('left behind');
  expect(stderr).toContain('1.0.0-1-a.ts:');
  expect(await readDatabase(sandbox)).toEqual({ applied: ['1'], tables: ['half'] });
});

describe.concurrent('0: a text is asked for', () => {
  test.for([
    [['--help'], 'Usage: alteration'],
    [['help', 'deploy'], 'Usage: alteration deploy'],
    [['deploy', '--help'], 'Examples:'],
    [['--version'], /^\d+\.\d+\.\d+/],
    [['completion', 'bash'], 'complete -F _alteration alteration'],
  ] as const)('prints %s without a database', async ([args, text]) => {
    const { run } = await createSandbox();
    expect(await run(args, { env: { DB_URL: '' } })).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(text),
      stderr: '',
    });
  });
});

test('prints help on stderr and exits with 2 without a command', async () => {
  const { run } = await createSandbox();
  const { exitCode, stdout, stderr } = await run([]);
  expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
  expect(stderr).toContain('Usage: alteration');
});
