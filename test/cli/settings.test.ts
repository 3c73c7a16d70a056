import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, test } from 'vitest';
import { deployReportSchema, listReportSchema, statusReportSchema } from '../../src/index.ts';
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

describe.concurrent('the database', () => {
  const databaseOf = (stdout: string) => statusReportSchema.parse(JSON.parse(stdout)).database.database;

  function pgVariables({ url }: Sandbox): Record<string, string> {
    const { hostname, port, pathname, username } = new URL(url);
    return { PGHOST: hostname, PGPORT: port, PGDATABASE: pathname.slice(1), PGUSER: username };
  }

  test('is that of ALTERATION_DB_URL, else DB_URL, else DATABASE_URL, else the PG* variables', async () => {
    const own = await createSandbox();
    const [db, database, pg] = [await createSandbox(), await createSandbox(), await createSandbox()];
    const env = { DATABASE_URL: database.url, ...pgVariables(pg), PGPASSWORD: password };
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
    const { PGHOST = '', PGPORT = '', PGUSER = '' } = pgVariables(sandbox);
    const file = join(sandbox.root, 'pgpass');
    const escaped = password.replaceAll(/[\\:]/g, '\\$&');
    await writeFile(file, `${PGHOST}:${PGPORT}:*:${PGUSER}:${escaped}\n`, { mode: 0o600 });
    const env = { ...pgVariables(sandbox), DB_URL: '', PGPASSFILE: file };
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
      env: { PATH: process.env['PATH'], HOME: root, DB_URL: url, npm_config_update_notifier: 'false' },
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
