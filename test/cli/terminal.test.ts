import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, describe, expect, test } from 'vitest';
import { deployReportSchema } from '../../src/index.ts';
import { lockKey } from '../../src/postgres/lock.ts';
import { type Sandbox, useSandboxes } from '../support/sandbox.ts';
import { hasTerminals, keys, startInTerminal, type TerminalRun } from '../support/terminal.ts';
import { waitUntil } from '../support/wait-until.ts';

const createSandbox = useSandboxes();
const runs: TerminalRun[] = [];

afterAll(() => {
  for (const { end } of runs) end();
});

function start({ root, url }: Sandbox, args: readonly string[], env = {}, redirection = ''): TerminalRun {
  const run = startInTerminal(args, { cwd: root, env: { DB_URL: url, ...env } }, redirection);
  runs.push(run);
  return run;
}

const pair = { '1.0.0-1-a.up.sql': 'create table a (id int);', '1.0.0-1-a.down.sql': 'drop table a;' };
const two = {
  ...pair,
  '1.1.0-2-b.up.sql': 'create table b (id int);',
  '1.1.0-2-b.down.sql': 'drop table b;',
};
/** Waits for `gate.open()`, and not for a lock: whoever holds one is told as a blocker, on a line of its own. */
const untilOpen =
  'do $$begin while not exists (select from test.opened) loop perform pg_sleep(0.02); end loop; end$$;';

async function closeGate({ query }: Sandbox): Promise<{ readonly open: () => Promise<unknown> }> {
  await query('create schema test create table opened ()');
  return { open: () => query('insert into test.opened default values') };
}

const paint = /\[[\d;]+m/;

async function tablesOf({ query }: Sandbox): Promise<string[]> {
  const rows = await query<{ name: string }>(
    `select relname as name from pg_class
    where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'alteration_history' order by 1`,
  );
  return rows.map(({ name }) => name);
}

describe.runIf(hasTerminals)('on a terminal', { concurrent: true }, () => {
  test('a live line tells what runs now and for how long, and is gone in the end', async () => {
    const sandbox = await createSandbox({
      ...pair,
      '1.1.0-2-slow.sql': `select 1;\n${untilOpen}`,
    });
    const gate = await closeGate(sandbox);
    const run = start(sandbox, ['deploy', 'latest']);
    await run.shows(/^. 1\.1\.0-2-slow\.sql \[2\/2\] do \$\$…\$\$ {2}\d\.\d s$/m);
    await gate.open();
    expect(await run.exitCode).toBe(0);
    expect(run.screen()[0]).toContain(`Database  ${sandbox.name} at `);
    expect(run.screen().join(' ')).toMatch(
      /Plan {6}2 alterations to apply ✔ 1\.0\.0-1-a\.up\.sql {2}\d+ ms ✔ 1\.1\.0-2-slow\.sql {2}\d+\.\d s Applied 2 alterations in \d+\.\d s: the database is at 1\.1\.0 \([^)]*\)\.$/,
    );
  });

  test('the live line stays one line however long the name is', async () => {
    const name = 'a-name-that-is-longer-than-the-screen-is-wide-and-then-goes-on-for-a-while-to-be-sure';
    const sandbox = await createSandbox({ [`1.0.0-1-${name}.sql`]: untilOpen });
    const gate = await closeGate(sandbox);
    const run = start(sandbox, ['deploy', 'latest']);
    await run.shows(/^. 1\.0\.0-1-a-name-.*… {2}\d\.\d s$/m);
    const before = run.screen();
    await gate.open();
    expect(await run.exitCode).toBe(0);
    expect(run.screen().slice(0, before.length - 1)).toEqual(before.slice(0, -1));
    expect(run.screen().join('')).toContain(`✔ 1.0.0-1-${name}.sql`);
    expect(run.screen().join('')).not.toContain('…');
  });

  test('a wait for the lock names its holder on the live line', async () => {
    const sandbox = await createSandbox(pair);
    const holder = await sandbox.connect();
    await holder.query(`set application_name = 'another one'`);
    const key = lockKey({ schema: 'public', table: 'alteration_history' }).toString();
    await holder.query('select pg_advisory_lock($1)', [key]);
    const run = start(sandbox, ['deploy', 'latest']);
    await run.shows(/^. Waiting: the lock is held by session \d+ \("another one"/m);
    await holder.query('select pg_advisory_unlock($1)', [key]);
    expect(await run.exitCode).toBe(0);
    expect(run.screen().join('\n')).not.toContain('Waiting');
  });

  test('Ctrl-C finishes the alteration under way, says so, and exits with 130', async () => {
    const sandbox = await createSandbox({
      '1.0.0-1-slow.sql': `create table a (id int); ${untilOpen}`,
      '1.0.0-2-b.sql': 'create table b (id int);',
    });
    const gate = await closeGate(sandbox);
    const run = start(sandbox, ['deploy', 'latest']);
    await run.shows('[2/2]');
    run.type(keys.interrupt);
    await run.shows(
      /^Stopping\. An alteration under way has 10\.0 s to end; a second signal ends it at\nonce\.\n. 1\.0\.0-1-slow/m,
    );
    await gate.open();
    expect(await run.exitCode).toBe(130);
    await run.shows('✖ Stopped by SIGINT.');
    expect(await tablesOf(sandbox)).toEqual(['a']);
  });

  test('a deploy without a target offers latest first, then the versions', async () => {
    const sandbox = await createSandbox({ ...two, 'next-3-c.sql': 'create table c (id int);' });
    const run = start(sandbox, ['deploy']);
    await run.shows('select');
    expect(run.screen().slice(0, 5)).toEqual([
      '? Deploy up to which version?',
      '❯ latest  2 alterations',
      '  1.1.0   2 alterations',
      '  1.0.0   1 alteration',
      '  next    3 alterations',
    ]);
    run.type(keys.enter);
    expect(await run.exitCode).toBe(0);
    expect(run.screen()[0]).toBe('✔ Deploy up to which version? latest');
    expect(await tablesOf(sandbox)).toEqual(['a', 'b']);
  });

  test('a version that is chosen with the arrow keys is deployed, and no more', async () => {
    const sandbox = await createSandbox(two);
    const run = start(sandbox, ['deploy']);
    await run.shows('❯ latest');
    run.type(keys.down);
    await run.shows('❯ 1.1.0');
    run.type(keys.down);
    await run.shows('❯ 1.0.0');
    run.type(keys.enter);
    expect(await run.exitCode).toBe(0);
    expect(await tablesOf(sandbox)).toEqual(['a']);
  });

  test('Ctrl-C at the question exits with 130 and changes nothing', async () => {
    const sandbox = await createSandbox(two);
    const run = start(sandbox, ['deploy']);
    await run.shows('❯ latest');
    run.type(keys.interrupt);
    expect(await run.exitCode).toBe(130);
    await run.shows('Nothing was changed.');
    expect(await tablesOf(sandbox)).toEqual([]);
  });

  test('a deploy without a target asks nothing when nothing is pending', async () => {
    const sandbox = await createSandbox(pair);
    await sandbox.run(['deploy']);
    const run = start(sandbox, ['deploy']);
    expect(await run.exitCode).toBe(0);
    expect(run.screen().join('\n')).toContain('Nothing to do: the database is at 1.0.0.');
  });

  test.for([
    ['n', 'Nothing rolled back: the database is at 1.1.0.', ['a', 'b']],
    ['y', /Rolled back 1 alteration in \d+ ms: the database is at 1\.0\.0\./, ['a']],
  ] as const)(
    'a rollback shows what it will take back, asks, and heeds "%s"',
    async ([answer, outcome, tables]) => {
      const sandbox = await createSandbox(two);
      await sandbox.run(['deploy']);
      const run = start(sandbox, ['rollback', '1.0.0']);
      await run.shows(/^ {2}1\.1\.0 {2}2 {2}b\n\? Roll back this alteration to reach 1\.0\.0\? \(y\/N\)/m);
      run.type(answer + keys.enter);
      expect(await run.exitCode).toBe(0);
      await run.shows(outcome);
      expect(await tablesOf(sandbox)).toEqual(tables);
    },
  );

  test('a failure is shown in words, in colour, and no word is broken', async () => {
    const sandbox = await createSandbox({ '1.0.0-1-a.sql': 'insert into nowhere\nvalues (1);' });
    const run = start(sandbox, ['deploy', 'latest']);
    expect(await run.exitCode).toBe(4);
    const screen = run.screen().join('\n');
    expect(screen).toContain('✖ "1.0.0-1-a.sql" failed: relation "nowhere" does not exist.');
    expect(screen).toContain(
      '  at alterations/1.0.0-1-a.sql:1:13\n  1 | insert into nowhere\n    |             ^\n  2 |',
    );
    expect(run.output()).toMatch(paint);
    const words = screen.split(/\s+/);
    expect(words).toEqual(expect.arrayContaining(['rolled', 'nothing', 'again;']));
  });

  test('the list of the example history has one line an alteration within 80 columns', async () => {
    const sandbox = await createSandbox();
    await cp('alterations', sandbox.dir, { recursive: true });
    await sandbox.run(['deploy', '1.1.0']);
    const run = start(sandbox, ['list']);
    expect(await run.exitCode).toBe(0);
    const [head, ...rows] = run.screen();
    expect(head).toMatch(/^STATE +VERSION +NAME +APPLIED \(UTC\) +TOOK$/);
    expect(rows.slice(0, -2).filter((row) => !/^(?:applied|pending) /.test(row))).toEqual([]);
    expect(rows.at(-1)).toBe('14 applied, 16 pending; the database is at 1.1.0.');
  });

  test('what is redirected is plain, and the progress stays on the terminal', async () => {
    const sandbox = await createSandbox(pair);
    const run = start(sandbox, ['deploy', 'latest', '--json'], {}, '> report.json');
    expect(await run.exitCode).toBe(0);
    await run.shows('✔ 1.0.0-1-a.up.sql');
    const report: unknown = JSON.parse(await readFile(join(sandbox.root, 'report.json'), 'utf8'));
    expect(deployReportSchema.parse(report).applied).toHaveLength(1);
  });

  test.for([
    ['colours', [], {}, true],
    ['no colours with --no-color', ['--no-color'], {}, false],
    ['no colours with NO_COLOR', [], { NO_COLOR: '1' }, false],
    ['no colours with ALTERATION_COLOR=false', [], { ALTERATION_COLOR: 'false' }, false],
    ['no colours on a dumb terminal', [], { TERM: 'dumb' }, false],
    ['colours with FORCE_COLOR despite NO_COLOR', [], { NO_COLOR: '1', FORCE_COLOR: '1' }, true],
  ] as const)('there are %s', async ([, args, env, expected]) => {
    const sandbox = await createSandbox(pair);
    const run = start(sandbox, ['deploy', 'latest', ...args], env);
    expect(await run.exitCode).toBe(0);
    expect(paint.test(run.output())).toBe(expected);
    expect(run.screen().join('\n')).toContain('✔ 1.0.0-1-a.up.sql');
  });
});

describe.concurrent('not on a terminal', () => {
  const asTheStreamIs = { env: { ALTERATION_LOG_FORMAT: '' } };

  test('each line of stderr is a JSON log line, and stdout is plain text', async () => {
    const { run } = await createSandbox(two);
    const { exitCode, stdout, stderr } = await run(['deploy', 'latest'], asTheStreamIs);
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^Applied 2 alterations in [\d.]+ m?s: the database is at 1\.1\.0 \(.*\)\.\n$/);
    const lines = stderr.trimEnd().split('\n');
    const parsed = lines.map((line): unknown => JSON.parse(line));
    expect(parsed).toMatchObject([
      { level: 'info', msg: 'connected' },
      { msg: 'planned', direction: 'up', total: 2 },
      { msg: 'started', alteration: '1.0.0-1-a.up.sql', index: 1 },
      { msg: 'finished', alteration: '1.0.0-1-a.up.sql', durationMs: expect.any(Number) },
      { msg: 'started', alteration: '1.1.0-2-b.up.sql', index: 2 },
      { msg: 'finished', alteration: '1.1.0-2-b.up.sql' },
    ]);
  });

  test.for([
    ['debug', ['connected', 'planned', 'started', 'statement started', 'finished']],
    ['warn', []],
    ['silent', []],
  ] as const)('the log level %s decides what is logged', async ([level, messages]) => {
    const { run } = await createSandbox(pair);
    const { stderr } = await run(['deploy', '--log-level', level], asTheStreamIs);
    const lines = stderr.split('\n').filter(Boolean);
    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual(messages); // a pino line has one
  });

  test.for([
    ['there are no escape codes', ['deploy', '--log-format', 'pretty'], {}, false],
    ['there are none in a list', ['list'], {}, false],
    ['there are none in a failure', ['deploy', 'newest'], {}, false],
    ['there are colours with FORCE_COLOR', ['list'], { FORCE_COLOR: '1' }, true],
    ['there are none with FORCE_COLOR=0', ['list'], { FORCE_COLOR: '0' }, false],
  ] as const)('%s', async ([, args, env, expected]) => {
    const { run } = await createSandbox(pair);
    const { stdout, stderr } = await run(args, { env });
    expect((stdout + stderr).includes('\u001b')).toBe(expected);
  });

  test('a list is not cut to the width of a screen', async () => {
    const { run } = await createSandbox({ [`1.0.0-1-${'long-'.repeat(30)}name.sql`]: 'select 1;' });
    const { stdout } = await run(['list']);
    expect(stdout).toMatch(/^STATE +VERSION +TIMESTAMP +NAME +APPLIED \(UTC\) +TOOK$/m);
  });

  /** Runs the binary with pipes that nobody reads. */
  async function runUnread({ root, url }: Sandbox, args: readonly string[]) {
    const child = spawn(process.execPath, [resolve('dist/bin.js'), ...args], {
      cwd: root,
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], DB_URL: url },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.destroy();
    const stderr = text(child.stderr);
    const exitCode = await new Promise((settle) => child.on('exit', settle));
    return { exitCode, stderr: await stderr };
  }

  test('a reader that goes away, as head does, is no failure', async () => {
    const sandbox = await createSandbox(pair);
    expect(await runUnread(sandbox, ['list'])).toEqual({ exitCode: 0, stderr: '' });
  });

  test.runIf(existsSync('/dev/full')).for([
    ['a result that cannot be written is a failure', '>', 1, 'ENOSPC'],
    ['a log that cannot be written is none', '2>', 0, ''],
  ] as const)('%s, and the deploy is done', async ([, redirection, expected, says]) => {
    const sandbox = await createSandbox(two);
    const program = `exec '${process.execPath}' '${resolve('dist/bin.js')}' deploy --json`;
    const child = spawn('sh', ['-c', `${program} ${redirection} /dev/full`], {
      cwd: sandbox.root,
      env: { DB_URL: sandbox.url },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const exited = new Promise((settle) => child.on('close', settle));
    const [stderr, exitCode] = await Promise.all([text(child.stderr), exited]);
    expect(exitCode).toBe(expected);
    expect(stderr).toContain(says);
    expect(await tablesOf(sandbox)).toEqual(['a', 'b']);
  });

  test('a deploy is brought to its end when nobody reads what it says', async () => {
    const sandbox = await createSandbox(two);
    const script = `{ '${process.execPath}' '${resolve('dist/bin.js')}' deploy; echo $? > code; } 2>&1 | true`;
    spawn('sh', ['-c', script], { cwd: sandbox.root, env: { DB_URL: sandbox.url }, stdio: 'ignore' });
    const code = () => readFile(join(sandbox.root, 'code'), 'utf8').catch(() => '');
    expect(await waitUntil('it has ended', async () => (await code()).trim() || undefined)).toBe('0');
    expect(await tablesOf(sandbox)).toEqual(['a', 'b']);
  });
});
