import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import {
  deployReportSchema,
  errorReportSchema,
  listReportSchema,
  statusReportSchema,
} from '../../src/index.ts';
import { moduleText } from '../support/module-text.ts';
import { password, type Sandbox, useSandboxes } from '../support/sandbox.ts';

const createSandbox = useSandboxes();

/** Where a setting can be given, the strongest first. */
const sources = ['flag', 'environment', '.env', 'config file'] as const;
type Source = (typeof sources)[number];

interface Spelling {
  readonly flag: string;
  readonly variable: string;
  readonly key: string;
}

/** What a place says: it is told apart by its value. */
const valueFrom = (source: Source) => `from-${source.replaceAll(/\W/g, '')}`;

/** Runs a command with the setting given in some places, each time with another value. */
async function runWith(
  { root, run }: Sandbox,
  command: readonly string[],
  { flag, variable, key }: Spelling,
  given: readonly Source[],
) {
  const has = (source: Source) => given.includes(source);
  if (has('.env')) await writeFile(join(root, '.env'), `${variable}=${valueFrom('.env')}\n`);
  if (has('config file')) {
    await writeFile(
      join(root, 'alteration.config.json'),
      JSON.stringify({ [key]: valueFrom('config file') }),
    );
  }
  const options = has('flag') ? [flag, valueFrom('flag')] : [];
  const env: Record<string, string> = has('environment') ? { [variable]: valueFrom('environment') } : {};
  return run([...command, ...options, '--json'], { env });
}

describe.concurrent('a setting is taken from the strongest place:', () => {
  const places = sources.map((source, index) => [source, sources.slice(index)] as const);

  test.for(places)('the folder from the %s', async ([strongest, given]) => {
    const sandbox = await createSandbox({ '1.0.0-1-default.sql': 'select 1;' });
    for (const source of sources) {
      await mkdir(join(sandbox.root, valueFrom(source)));
      await writeFile(join(sandbox.root, valueFrom(source), `1.0.0-1-${valueFrom(source)}.sql`), 'select 1;');
    }
    const spelling = { flag: '--dir', variable: 'ALTERATION_DIR', key: 'dir' };
    const { stdout } = await runWith(sandbox, ['list'], spelling, given);
    expect(listReportSchema.parse(JSON.parse(stdout)).alterations).toMatchObject([
      { name: valueFrom(strongest) },
    ]);
  });

  test('the folder is alterations when nobody says another', async () => {
    const { run } = await createSandbox({ '1.0.0-1-default.sql': 'select 1;' });
    const { stdout } = await run(['list', '--json']);
    expect(listReportSchema.parse(JSON.parse(stdout)).alterations).toMatchObject([{ name: 'default' }]);
  });

  test.for(places)('the history table from the %s', async ([strongest, given]) => {
    const spelling = { flag: '--history-table', variable: 'ALTERATION_HISTORY_TABLE', key: 'historyTable' };
    const { stdout } = await runWith(await createSandbox(), ['status'], spelling, given);
    expect(statusReportSchema.parse(JSON.parse(stdout)).history).toEqual({
      schema: 'public',
      table: valueFrom(strongest),
      exists: false,
    });
  });

  // What is refused shows which value was taken, and where it stood.
  test.for([
    ['flag', '--lock-wait: "from-flag"', sources],
    ['environment', 'ALTERATION_LOCK_WAIT: "from-environment"', sources.slice(1)],
    ['.env', 'ALTERATION_LOCK_WAIT: "from-env"', sources.slice(2)],
    ['config file', 'lockWait in alteration.config.json: "from-configfile"', sources.slice(3)],
  ] as const)('the lock wait from the %s', async ([, message, given]) => {
    const spelling = { flag: '--lock-wait', variable: 'ALTERATION_LOCK_WAIT', key: 'lockWait' };
    const { exitCode, stderr } = await runWith(await createSandbox(), ['deploy'], spelling, given);
    expect(exitCode).toBe(2);
    expect(stderr).toContain(message);
  });

  test('an empty variable says nothing', async () => {
    const { run, root } = await createSandbox();
    await writeFile(join(root, 'alteration.config.json'), '{ "historyTable": "configured" }');
    const { stdout } = await run(['status', '--json'], { env: { ALTERATION_HISTORY_TABLE: '' } });
    expect(statusReportSchema.parse(JSON.parse(stdout)).history.table).toBe('configured');
  });
});

const databaseOf = (stdout: string) => statusReportSchema.parse(JSON.parse(stdout)).database.database;

function pgVariables({ url }: Sandbox): Record<string, string> {
  const { hostname, port, pathname, username } = new URL(url);
  return {
    PGHOST: hostname,
    PGPORT: port,
    PGDATABASE: pathname.slice(1),
    PGUSER: username,
    PGPASSWORD: password,
  };
}

describe.concurrent('the database', () => {
  test('is that of ALTERATION_DB_URL, else DB_URL, else DATABASE_URL, else the PG* variables', async () => {
    const own = await createSandbox();
    const [db, database, pg] = [await createSandbox(), await createSandbox(), await createSandbox()];
    const env = { DATABASE_URL: database.url, ...pgVariables(pg) };
    const given = [
      { ...env, DB_URL: db.url, ALTERATION_DB_URL: own.url },
      { ...env, DB_URL: db.url },
      { ...env, DB_URL: '' },
      { ...env, DB_URL: '', DATABASE_URL: '' },
    ];
    const found = await Promise.all(
      given.map(async (each) => databaseOf((await own.run(['status', '--json'], { env: each })).stdout)),
    );
    expect(found).toEqual([own.name, db.name, database.name, pg.name]);
  });

  test('has its password in the file of PGPASSFILE', async () => {
    const sandbox = await createSandbox();
    const { PGPASSWORD: _, ...variables } = pgVariables(sandbox);
    const { PGHOST = '', PGPORT = '', PGUSER = '' } = variables;
    const file = join(sandbox.root, 'pgpass');
    const escaped = password.replaceAll(/[\\:]/g, '\\$&');
    await writeFile(file, `${PGHOST}:${PGPORT}:*:${PGUSER}:${escaped}\n`, { mode: 0o600 });
    const env = { ...variables, DB_URL: '', PGPASSFILE: file };
    const result = await sandbox.run(['status', '--json'], { env });
    expect(result).toMatchObject({ exitCode: 0 });
    expect(databaseOf(result.stdout)).toBe(sandbox.name);
  });

  test('is that of a service in the file of PGSERVICEFILE', async () => {
    const sandbox = await createSandbox();
    const { PGHOST, PGPORT, PGUSER } = pgVariables(sandbox);
    const file = join(sandbox.root, 'services.conf');
    await writeFile(
      file,
      `[other]\nhost=no-such-host.invalid\n\n[mine]\nhost=${PGHOST}\nport=${PGPORT}\ndbname=${sandbox.name}\nuser=${PGUSER}\npassword=${password}\n`,
    );
    const env = { DB_URL: '', PGSERVICE: 'mine', PGSERVICEFILE: file };
    const result = await sandbox.run(['status', '--json'], { env });
    expect(databaseOf(result.stdout)).toBe(sandbox.name);
    const missing = await sandbox.run(['status'], { env: { ...env, PGSERVICE: 'theirs' } });
    expect(missing).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('"theirs"') });
  });
});

describe.concurrent('the database of a stronger place is taken, whatever the variables are called:', () => {
  const elsewhere = 'postgres://127.0.0.1:1/elsewhere';

  interface Given {
    readonly args?: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
    readonly dotEnv?: Readonly<Record<string, string>>;
    readonly config?: string;
  }

  const cases: readonly (readonly [string, (sandbox: Sandbox) => Given])[] = [
    [
      'DATABASE_URL before DB_URL of .env',
      ({ url }) => ({ env: { DATABASE_URL: url }, dotEnv: { DB_URL: elsewhere } }),
    ],
    [
      'PG* before DB_URL of .env',
      (sandbox) => ({ env: pgVariables(sandbox), dotEnv: { DB_URL: elsewhere } }),
    ],
    [
      'PGDATABASE alone before DB_URL of .env, which has the rest as PG*',
      (sandbox) => {
        const { PGDATABASE = '', ...rest } = pgVariables(sandbox);
        return { env: { PGDATABASE }, dotEnv: { ...rest, DB_URL: elsewhere } };
      },
    ],
    [
      'DB_URL before ALTERATION_DB_URL of .env',
      ({ url }) => ({ env: { DB_URL: url }, dotEnv: { ALTERATION_DB_URL: elsewhere } }),
    ],
    [
      'PG* of .env before dbUrl of the config file',
      (sandbox) => ({ dotEnv: pgVariables(sandbox), config: elsewhere }),
    ],
    [
      'DB_URL of .env before dbUrl of the config file',
      ({ url }) => ({ dotEnv: { DB_URL: url }, config: elsewhere }),
    ],
    [
      '--db-url before all',
      ({ url }) => ({
        args: ['--db-url', url],
        env: { ALTERATION_DB_URL: elsewhere, DB_URL: elsewhere, PGHOST: '127.0.0.1', PGPORT: '1' },
        dotEnv: { ALTERATION_DB_URL: elsewhere },
        config: elsewhere,
      }),
    ],
  ];

  test.for(cases)('%s', async ([, give]) => {
    const sandbox = await createSandbox();
    const { args = [], env = {}, dotEnv = {}, config } = give(sandbox);
    const lines = Object.entries(dotEnv).map(([name, value]) => `${name}='${value}'\n`);
    await writeFile(join(sandbox.root, '.env'), lines.join(''));
    if (config) {
      await writeFile(join(sandbox.root, 'alteration.config.json'), JSON.stringify({ dbUrl: config }));
    }
    const result = await sandbox.run(['status', '--json', ...args], {
      env: { DB_URL: undefined, ...env },
    });
    expect(result).toMatchObject({ exitCode: 0 });
    expect(databaseOf(result.stdout)).toBe(sandbox.name);
  });
});

describe.concurrent('.env', () => {
  const record = `await connection.query(sql.unsafe\`create table seen as select \${process.env.KEY ?? ''} as key\`);`;

  test('gives scripts its values, which may span lines', async () => {
    const sandbox = await createSandbox({ '1.0.0-1-a.ts': moduleText(record) });
    await writeFile(join(sandbox.root, '.env'), `# keys\nKEY="-----BEGIN\nline = 2\n-----END"\n`);
    expect(await sandbox.run(['deploy'])).toMatchObject({ exitCode: 0 });
    expect(await sandbox.query('select key from seen')).toEqual([{ key: '-----BEGIN\nline = 2\n-----END' }]);
  });

  test('gives way to the real environment', async () => {
    const sandbox = await createSandbox({ '1.0.0-1-a.ts': moduleText(record) });
    await writeFile(join(sandbox.root, '.env'), 'KEY=file\nDB_URL=postgres://127.0.0.1:1/nowhere\n');
    expect(await sandbox.run(['deploy'], { env: { KEY: 'real' } })).toMatchObject({ exitCode: 0 });
    expect(await sandbox.query('select key from seen')).toEqual([{ key: 'real' }]);
  });

  test('is another file when one is named', async () => {
    const sandbox = await createSandbox({ '1.0.0-1-a.ts': moduleText(record) });
    await writeFile(join(sandbox.root, '.env'), 'KEY=default\n');
    await writeFile(join(sandbox.root, 'prod.env'), 'KEY=named\n');
    expect(await sandbox.run(['deploy', '--env-file', 'prod.env'])).toMatchObject({ exitCode: 0 });
    expect(await sandbox.query('select key from seen')).toEqual([{ key: 'named' }]);
  });
});

describe.concurrent('a switch is set by its variable', () => {
  test.for([
    ...['1', 'true', 'yes', 'ON'].map((value) => [value, 0] as const),
    ...['0', 'false', 'no', 'off', ''].map((value) => [value, 1] as const),
  ])('ALTERATION_DRY_RUN=%s', async ([value, applied]) => {
    const { run, query } = await createSandbox({ '1.0.0-1-a.sql': 'create table a (id int);' });
    const { exitCode, stdout } = await run(['deploy'], {
      env: { ALTERATION_DRY_RUN: value, ALTERATION_JSON: '1' },
    });
    expect(exitCode).toBe(0);
    expect(deployReportSchema.parse(JSON.parse(stdout)).applied).toHaveLength(applied);
    expect(await query(`select from pg_class where relname = 'a'`)).toHaveLength(applied);
  });

  test('ALTERATION_YES agrees to a rollback', async () => {
    const { run, query } = await createSandbox({
      '1.0.0-1-a.up.sql': 'create table a (id int);',
      '1.0.0-1-a.down.sql': 'drop table a;',
    });
    await run(['deploy']);
    expect(await run(['rollback', '0.0.0'], { env: { ALTERATION_YES: 'true' } })).toMatchObject({
      exitCode: 0,
    });
    expect(await query(`select from pg_class where relname = 'a'`)).toEqual([]);
  });
});

describe.concurrent('a config file', () => {
  test.for([
    ['alteration.config.ts', `const table: string = 'chosen';\nexport default { historyTable: table };`],
    ['alteration.config.mjs', `export default { historyTable: 'chosen' };`],
    ['alteration.config.js', `export default { historyTable: 'chosen' };`],
    ['alteration.config.json', '{ "historyTable": "chosen" }'],
  ] as const)('is found as %s', async ([name, content]) => {
    const { run, root } = await createSandbox();
    await writeFile(join(root, name), content);
    const { stdout } = await run(['status', '--json']);
    expect(statusReportSchema.parse(JSON.parse(stdout)).history.table).toBe('chosen');
  });

  test('sets how rows come back to scripts', async () => {
    const { run, root, query } = await createSandbox({
      '1.0.0-1-a.ts': moduleText(`
        const row = await connection.one(sql.unsafe\`select 1::int8 as big_number\`);
        await connection.query(sql.unsafe\`create table seen as select \${JSON.stringify(row)} as text\`);`),
    });
    await writeFile(join(root, 'alteration.config.ts'), `export default { rows: 'logto' };`);
    expect(await run(['deploy'])).toMatchObject({ exitCode: 0 });
    expect(await query('select text from seen')).toEqual([{ text: '{"bigNumber":1}' }]);
  });
});

describe.concurrent('through npm', () => {
  /** Runs npm in a package whose script `alteration` is the built binary. */
  async function runNpm({ root, url }: Sandbox, args: readonly string[]) {
    const scripts = { alteration: `node ${JSON.stringify(resolve('dist/bin.js'))}` };
    await writeFile(join(root, 'package.json'), JSON.stringify({ type: 'module', scripts }));
    const child = spawn('npm', args, {
      cwd: root,
      env: {
        PATH: process.env['PATH'],
        HOME: root,
        DB_URL: url,
        ALTERATION_LOG_FORMAT: 'pretty',
        npm_config_update_notifier: 'false',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const exited = new Promise<number | null>((settle) => child.on('close', settle));
    const [stdout, stderr, exitCode] = await Promise.all([text(child.stdout), text(child.stderr), exited]);
    return { exitCode, stdout, stderr };
  }

  const file = { '1.0.0-1-a.sql': 'create table a (id int);' };
  const isThere = async ({ query }: Sandbox) =>
    (await query(`select from pg_class where relname = 'a'`)).length === 1;

  test('an option that npm keeps for itself is refused, and the command that works is told', async () => {
    const sandbox = await createSandbox(file);
    const { exitCode, stderr } = await runNpm(sandbox, [
      'run',
      'alteration',
      'deploy',
      'latest',
      '--dry-run',
    ]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('npm kept --dry-run for itself; nothing was done');
    const [, command = ''] = /npm (run alteration .*)$/m.exec(stderr) ?? [];
    expect(command).toBe('run alteration deploy latest -- --dry-run');
    const told = await runNpm(sandbox, command.split(' '));
    expect(told).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('Would apply 1 alteration') });
    expect(await isThere(sandbox)).toBe(false);
  });

  test('an option with a value that npm tears apart is refused', async () => {
    const sandbox = await createSandbox(file);
    const { exitCode, stderr } = await runNpm(sandbox, [
      'run',
      'alteration',
      'deploy',
      'latest',
      '--lock-wait',
      '5s',
    ]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('npm kept --lock-wait for itself');
    expect(stderr).toContain('-- --lock-wait <duration>');
    expect(await isThere(sandbox)).toBe(false);
  });

  test.for([
    ['--config=c.json', '--config'],
    ['--log-level=debug', '--log-level'],
    ['--ci', '--ci'],
  ] as const)('%s, which npm keeps for itself, is refused', async ([option, told]) => {
    const sandbox = await createSandbox(file);
    const result = await runNpm(sandbox, ['run', 'alteration', 'deploy', 'latest', option]);
    expect(result).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining(`npm kept ${told} for itself; nothing was done`),
    });
    expect(await isThere(sandbox)).toBe(false);
  });

  test('the JSON document is all that is on stdout with --silent', async () => {
    const sandbox = await createSandbox(file);
    const args = ['run', '--silent', 'alteration', 'deploy', 'latest', '--', '--json'];
    const { exitCode, stdout } = await runNpm(sandbox, args);
    expect(exitCode).toBe(0);
    expect(deployReportSchema.parse(JSON.parse(stdout)).applied).toHaveLength(1);
    expect(await isThere(sandbox)).toBe(true);
  });

  test('the exit code comes through', async () => {
    const sandbox = await createSandbox(file);
    expect(await runNpm(sandbox, ['run', 'alteration', 'check'])).toMatchObject({ exitCode: 3 });
    expect(await runNpm(sandbox, ['run', 'alteration', 'deploy', 'latest'])).toMatchObject({ exitCode: 0 });
  });
});

describe.concurrent('a password never stands in any output:', () => {
  const secret = 'S3CRET';
  const url = `postgres://u:${secret}@h/db`;
  const npm = { npm_lifecycle_event: 'alteration' };

  test.for([
    ['an option before the command', [`--db-url=${url}`, 'deploy'], {}],
    ['an unknown command', [url], {}],
    ['a topic of the help', ['help', url], {}],
    ['a target', ['deploy', `postgres://h/db?user=u&password=${secret}`], {}],
    ['a version', ['release', url], {}],
    ['a second target', ['check', 'latest', url], {}],
    ['an unknown option', ['deploy', `--database=${url}`], {}],
    ['a duration', ['deploy', '--lock-wait', url], {}],
    ['a folder that is missing', ['deploy', '--dir', url], {}],
    ['an env file', ['deploy'], { ALTERATION_ENV_FILE: url }],
    ['a config file', ['deploy', '--config', url], {}],
    [
      'a database that is not there',
      ['deploy'],
      { DB_URL: `postgres://127.0.0.1:1/db?password=${secret}`, ALTERATION_CONNECT_WAIT: '0' },
    ],
    ['a URL of another kind', ['deploy'], { DB_URL: `mysql://u:${secret}@h/db` }],
    ['a URL that npm kept', ['deploy'], { ...npm, npm_config_db_url: url }],
    ['a URL that npm left', ['deploy', url], { ...npm, npm_config_db_url: 'true' }],
    ['a URL beside what npm kept', ['deploy', `--db-url=${url}`], { ...npm, npm_config_dry_run: 'true' }],
  ] as const)('%s', async ([, args, env]) => {
    const { run } = await createSandbox();
    const inWords = await run(args, { env });
    const asDocument = await run([...args, '--json'], { env: { ...env, ALTERATION_LOG_FORMAT: 'json' } });
    for (const { exitCode, stdout, stderr } of [inWords, asDocument]) {
      expect([2, 9]).toContain(exitCode);
      expect(stdout + stderr).not.toContain(secret);
    }
    expect(errorReportSchema.parse(JSON.parse(asDocument.stdout)).error.message).not.toBe('');
    expect(JSON.parse(asDocument.stderr)).toMatchObject({ level: 'error' });
  });
});
