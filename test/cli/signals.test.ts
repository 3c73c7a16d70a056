import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, connect as openSocket, type Server, type Socket } from 'node:net';
import { join, resolve } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import type { Client } from 'pg';
import { afterAll, describe, expect, test } from 'vitest';
import { listReportSchema } from '../../src/index.ts';
import { lockKey } from '../../src/postgres/lock.ts';
import type { CliResult } from '../support/cli.ts';
import { writeFiles } from '../support/folder.ts';
import { moduleText } from '../support/module-text.ts';
import { findFreePort } from '../support/private-server.ts';
import { type Sandbox, type SandboxRun, useSandboxes } from '../support/sandbox.ts';
import { hasTerminals } from '../support/terminal.ts';
import { waitUntil } from '../support/wait-until.ts';

const createSandbox = useSandboxes();
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

/** PostgreSQL's code for it, in place of a protocol version. */
const cancelRequest = 80_877_102;
const exitCodes = { SIGTERM: 143, SIGINT: 130 } as const;
type Signal = keyof typeof exitCodes;

/** What comes before the alteration that a signal finds under way. */
const first = {
  '1.0.0-1-first.sql': `create table effects (id int);
insert into effects values (1);
create table gate (opened bool);
create function wait_for_gate() returns void language plpgsql as $$
begin
  while not exists (select from gate) loop perform pg_sleep(0.02); end loop;
end $$;`,
};
const third = { '1.1.0-3-third.sql': 'insert into effects values (3);' };

const effect = (id: number) => `insert into effects values (${id});`;
const query = (statement: string) => `connection.query(sql.unsafe\`${statement}\`)`;
/** Takes as long as the gate is closed. */
const stay = 'select wait_for_gate() as reached;';
const stayAside = `await ${query(`select 'reached'`)};
  while (!existsSync('gate')) await new Promise((settle) => setTimeout(settle, 20));`;
const imports = `import { existsSync } from 'node:fs';\nimport { sql } from 'slonik';`;

async function openGate(sandbox: Sandbox): Promise<void> {
  await sandbox.query('insert into gate values (true)');
  await writeFile(join(sandbox.root, 'gate'), '');
}

/** A place where an alteration is found by a signal: the second one of three. */
interface Place {
  readonly place: string;
  readonly files: Readonly<Record<string, string>>;
  /** Of the session then. */
  readonly query?: string;
  readonly state?: 'active' | 'idle in transaction' | 'idle';
  /** Of the whole alteration. */
  readonly effects: readonly number[];
  /** What stays when it does not come to its end; nothing when left out. */
  readonly stays?: { readonly effects: readonly number[]; readonly row?: string };
  /** When it does not come to its end. */
  readonly says?: string;
  /** Whether a second signal is tried too. */
  readonly twice?: true;
}

const places: readonly Place[] = [
  {
    place: 'a statement of a SQL file',
    twice: true,
    files: { '1.0.0-2-stay.sql': `${effect(2)} ${stay}` },
    effects: [2],
  },
  {
    place: 'a query of a module',
    files: { '1.0.0-2-stay.ts': moduleText(`await ${query(effect(2))}; await ${query(stay)};`) },
    effects: [2],
  },
  {
    place: 'one of several queries of a module at once',
    files: {
      '1.0.0-2-stay.ts': moduleText(
        `await Promise.all([${[stay, effect(2), stay, effect(20)].map(query).join(', ')}]);`,
      ),
    },
    effects: [2, 20],
  },
  {
    place: 'a query whose failure the module ignores',
    files: {
      '1.0.0-2-stay.ts': moduleText(
        `await ${query(stay)}.catch(() => undefined); await ${query(effect(2))}.catch(() => undefined);`,
      ),
    },
    effects: [2],
  },
  {
    place: 'a module that waits for something else',
    twice: true,
    files: { '1.0.0-2-stay.ts': moduleText(`await ${query(effect(2))}; ${stayAside}`, imports) },
    state: 'idle in transaction',
    effects: [2],
  },
  {
    place: 'a query of beforeUp',
    twice: true,
    files: {
      '1.0.0-2-stay.ts': `${imports}
export default {
  beforeUp: async (connection) => { await ${query('create table if not exists before (id int)')}; await ${query(stay)}; },
  up: async (connection) => { await ${query(effect(2))}; },
};`,
    },
    effects: [2],
    says: '"1.0.0-2-stay.ts" was interrupted: beforeUp runs again from its start the next time.',
  },
  {
    place: 'a beforeUp that waits for something else',
    files: {
      '1.0.0-2-stay.ts': `${imports}
export default {
  beforeUp: async (connection) => { ${stayAside} },
  up: async (connection) => { await ${query(effect(2))}; },
};`,
    },
    state: 'idle',
    effects: [2],
    says: '"1.0.0-2-stay.ts" was interrupted: beforeUp runs again from its start the next time.',
  },
  {
    place: 'a statement outside a transaction',
    twice: true,
    files: {
      '1.0.0-2-stay.sql': `-- alteration: no-transaction\n${effect(2)} vacuum effects; ${stay} ${effect(20)}`,
    },
    effects: [2, 20],
    stays: { effects: [2], row: '2 started' },
    says: '"1.0.0-2-stay.sql" was interrupted: 2 of its 4 statements are done and stay;',
  },
  {
    place: 'a commit',
    files: {
      '1.0.0-2-stay.sql': `create table slow (id int);
create function wait_at_commit() returns trigger language plpgsql as
  $$ begin perform wait_for_gate(); return null; end $$;
create constraint trigger at_commit after insert on slow deferrable initially deferred
  for each row execute function wait_at_commit();
insert into slow values (1); ${effect(2)}`,
    },
    query: 'commit',
    effects: [2],
  },
];

/** Waits until the run's session is in such a query. */
async function sessionIn(client: Client, text: string, state: string): Promise<void> {
  await waitUntil(`a session is ${state} in "${text}"`, async () => {
    const { rows } = await client.query(
      `select from pg_stat_activity where datname = current_database()
      and application_name like 'alteration %' and state = $2 and position($1 in query) > 0 and (state <> 'active' or wait_event = 'PgSleep')`,
      [text, state],
    );
    return rows.length === 1;
  });
}

/** A run of the binary that is in that place. */
async function startAt(
  { query: text = 'reached', state = 'active' }: Pick<Place, 'query' | 'state'>,
  sandbox: Sandbox,
  args: readonly string[],
): Promise<SandboxRun> {
  const client = await sandbox.connect();
  const run = sandbox.start(args);
  await sessionIn(client, text, state);
  return run;
}

/** Sends the signal, and waits until it has arrived. */
async function interrupt(run: SandboxRun, signal: Signal): Promise<void> {
  run.kill(signal);
  await waitUntil('the signal has arrived', async () => run.stderr().includes('Stopping'));
}

const lockName = lockKey({ schema: 'public', table: 'alteration_history' }).toString();

/** That the run has gone from the server, and its lock with it. */
async function expectGone(sandbox: Sandbox): Promise<void> {
  const client = await sandbox.connect();
  await waitUntil('no session of the run is left', async () => {
    const { rows } = await client.query(
      `select from pg_stat_activity where datname = current_database() and application_name like 'alteration %'`,
    );
    return rows.length === 0;
  });
  const { rows } = await client.query('select pg_try_advisory_lock($1) as free', [lockName]);
  expect(rows).toEqual([{ free: true }]);
  await client.end();
}

async function readState({ query: read }: Sandbox) {
  const [table] = await read<{ there: boolean }>(`select to_regclass('effects') is not null as there`);
  if (!table?.there) return { rows: [], effects: [] };
  const rows = await read<{ row: string }>(
    `select concat_ws(' ', "timestamp", nullif(state, 'applied')) as row from alteration_history order by 1`,
  );
  const effects = await read<{ id: number }>('select id from effects order by id');
  return { rows: rows.map(({ row }) => row), effects: effects.map(({ id }) => id) };
}

/** That the signal ended it, and what is left then; and that the next deploy brings it to its end, nothing twice. */
async function expectStopped(
  sandbox: Sandbox,
  result: CliResult,
  signal: Signal,
  left: { readonly rows: readonly string[]; readonly effects: readonly number[] },
  whole: readonly number[],
): Promise<void> {
  expect(result).toMatchObject({ exitCode: exitCodes[signal], signal: null });
  expect(result.stderr).toContain(`✖ Stopped by ${signal}.\n`);
  await expectGone(sandbox);
  expect(await readState(sandbox)).toEqual(left);
  await openGate(sandbox);
  expect(await sandbox.run(['deploy'])).toMatchObject({ exitCode: 0 });
  expect(await readState(sandbox)).toEqual({ rows: ['1', '2', '3'], effects: sorted([1, ...whole, 3]) });
}

const sorted = (ids: readonly number[]) => [...ids].sort((a, b) => a - b);

/** After a second there is a second connection, which looks whom the alteration waits for. */
const moments = [
  ['at first', async () => undefined],
  ['after a while', watched],
] as const;

describe.concurrent('a signal in an alteration', () => {
  for (const one of places) {
    const {
      place,
      files,
      effects,
      stays = { effects: [] },
      says = '1 alteration is applied, 2 are not.',
    } = one;
    const cutShort = {
      rows: ['1', ...(stays.row ? [stays.row] : [])],
      effects: [1, ...stays.effects],
    };

    test(`lets it come to its end within the grace, and stops before the next: ${place}`, async () => {
      const sandbox = await createSandbox({ ...first, ...files, ...third });
      const run = await startAt(one, sandbox, ['deploy', '--grace', '10m']);
      await interrupt(run, 'SIGTERM');
      await pause(700); // longer than a cancellation takes
      await openGate(sandbox);
      const result = await run.result;
      expect(result.stderr).toContain('2 alterations are applied, 1 is not.');
      const left = { rows: ['1', '2'], effects: sorted([1, ...effects]) };
      await expectStopped(sandbox, result, 'SIGTERM', left, effects);
    });

    test(`ends it when the grace is over, and what was not done is rolled back: ${place}`, async () => {
      const sandbox = await createSandbox({ ...first, ...files, ...third });
      const run = await startAt(one, sandbox, ['deploy', '--grace', '300ms']);
      run.kill('SIGINT');
      const result = await run.result;
      expect(result.stderr).toContain('1 alteration is applied, 2 are not.');
      expect(result.stderr).toContain(says);
      await expectStopped(sandbox, result, 'SIGINT', cutShort, effects);
    });

    if (!one.twice) continue;
    test(`ends it at once when it is the second one: ${place}`, async () => {
      const sandbox = await createSandbox({ ...first, ...files, ...third });
      const run = await startAt(one, sandbox, ['deploy', '--grace', '10m']);
      await interrupt(run, 'SIGINT');
      run.kill('SIGTERM');
      const result = await run.result;
      expect(result.stderr).toContain('1 alteration is applied, 2 are not.');
      expect(result.stderr).toContain(says);
      await expectStopped(sandbox, result, 'SIGTERM', cutShort, effects);
    });
  }

  const [inStatement] = places;
  const files = { ...first, ...inStatement?.files, ...third };
  const effects = inStatement?.effects ?? [];
  const oneIsApplied = { rows: ['1'], effects: [1] };

  test('ends it at once without a grace', async () => {
    const sandbox = await createSandbox(files);
    const run = await startAt({}, sandbox, ['deploy', '--grace', '0']);
    run.kill('SIGTERM');
    await expectStopped(sandbox, await run.result, 'SIGTERM', oneIsApplied, effects);
  });

  test('is told in the document with what is applied and what is not', async () => {
    const sandbox = await createSandbox(files);
    const run = await startAt({}, sandbox, ['deploy', '--grace', '0', '--json']);
    run.kill('SIGTERM');
    const { stdout } = await run.result;
    expect(JSON.parse(stdout)).toMatchObject({
      error: {
        code: 'stopped',
        exitCode: 143,
        progress: {
          direction: 'up',
          done: ['1.0.0-1-first.sql'],
          remaining: ['1.0.0-2-stay.sql', '1.1.0-3-third.sql'],
        },
      },
    });
  });

  test('waits until its cancel request is answered: poolers have crashed otherwise', async () => {
    const sandbox = await createSandbox(files);
    const { url, hungUp } = await startSlowAnswers(sandbox.url);
    const client = await sandbox.connect();
    const run = sandbox.start(['deploy', '--grace', '0'], { env: { DB_URL: url } });
    await sessionIn(client, 'reached', 'active');
    run.kill('SIGTERM');
    await expectStopped(sandbox, await run.result, 'SIGTERM', oneIsApplied, effects);
    expect(hungUp).toEqual(['server']);
  });

  test('that is the last one leaves a deploy that is done', async () => {
    const sandbox = await createSandbox({ ...first, ...inStatement?.files });
    const run = await startAt({}, sandbox, ['deploy', '--grace', '10m']);
    await interrupt(run, 'SIGTERM');
    await openGate(sandbox);
    expect(await run.result).toMatchObject({ exitCode: 0, stdout: /^Applied 2 alterations/ });
    await expectGone(sandbox);
  });

  test('that comes too late for the last one, though the second, leaves a deploy that is done', async () => {
    const sandbox = await createSandbox({
      ...first,
      '1.0.0-2-stay.sql': `do $$ begin
  perform pg_sleep(600) as reached; exception when query_canceled then null;
end $$;`,
    });
    const run = await startAt({}, sandbox, ['deploy', '--grace', '10m']);
    await interrupt(run, 'SIGTERM');
    run.kill('SIGTERM');
    const { exitCode, stdout, stderr } = await run.result;
    expect(stdout).toMatch(/^Applied 2 alterations/);
    expect({ exitCode, failure: /^✖.*/m.exec(stderr)?.[0] }).toEqual({ exitCode: 0 });
    await expectGone(sandbox);
  });

  const index = 'create index concurrently if not exists effects_id on effects (id);';
  const valid = [{ name: 'effects_id', valid: true }];

  /** A sandbox where the first alteration is applied, and a build of an index waits for a writer. */
  async function createBusySandbox(next: Readonly<Record<string, string>>) {
    const sandbox = await createSandbox(first);
    expect(await sandbox.run(['deploy'])).toMatchObject({ exitCode: 0 });
    await writeFiles(sandbox.dir, next);
    const writer = await sandbox.connect();
    await writer.query(`begin; ${effect(9)}`);
    return { sandbox, endWriter: () => writer.query('rollback') };
  }

  test('leaves an index that is built concurrently to the next deploy, which builds it again', async () => {
    const { sandbox, endWriter } = await createBusySandbox({
      '1.0.0-2-index.sql': `-- alteration: no-transaction\n${index}`,
    });
    const run = sandbox.start(['deploy', '--grace', '300ms']);
    await waitUntil('the index is being built', async () => (await readIndexes(sandbox)).length === 1);
    run.kill('SIGTERM');
    expect(await run.result).toMatchObject({ exitCode: 143 });
    await endWriter();
    await expectGone(sandbox);
    expect(await readIndexes(sandbox)).toEqual([{ name: 'effects_id', valid: false }]);
    expect(await sandbox.run(['deploy'])).toMatchObject({ exitCode: 0 });
    expect(await readIndexes(sandbox)).toEqual(valid);
    expect(await readState(sandbox)).toEqual({ rows: ['1', '2'], effects: [1] });
  });

  test.for([
    ['a file', { '1.0.0-2-index.sql': `-- alteration: no-transaction\n${index}` }],
    [
      'beforeUp',
      {
        '1.0.0-2-index.ts': `${imports}
export default { beforeUp: async (connection) => { await ${query(index)}; }, up: async () => {} };`,
      },
    ],
  ] as const)('ends a wait for somebody else who builds the same index: %s', async ([, next]) => {
    const { sandbox, endWriter } = await createBusySandbox(next);
    const other = await sandbox.connect();
    const building = other.query(index);
    await waitUntil('the index is being built', async () => (await readIndexes(sandbox)).length === 1);
    const client = await sandbox.connect();
    const run = sandbox.start(['deploy', '--grace', '300ms']);
    await watched(client);
    run.kill('SIGTERM');
    const result = await run.result;
    expect(result).toMatchObject({ exitCode: 143, stderr: expect.stringContaining('✖ Stopped by SIGTERM.') });
    await expectGone(sandbox);
    await endWriter();
    await building;
    expect(await sandbox.run(['deploy'])).toMatchObject({ exitCode: 0 });
    expect(await readIndexes(sandbox)).toEqual(valid);
    expect(await readState(sandbox)).toEqual({ rows: ['1', '2'], effects: [1] });
  });

  for (const [when, meanwhile] of moments) {
    test(`ends it also when the server has gone silent: ${when}`, async () => {
      const sandbox = await createSandbox(files);
      const link = await openLink(sandbox.url);
      const client = await sandbox.connect();
      const run = sandbox.start(['deploy', '--grace', '300ms'], { env: { DB_URL: link.url } });
      await sessionIn(client, 'reached', 'active');
      await meanwhile(client);
      link.cut();
      run.kill('SIGTERM');
      await expectStopped(sandbox, await run.result, 'SIGTERM', oneIsApplied, effects);
    });
  }

  test('is told with what is applied also when the server goes silent after that', async () => {
    const sandbox = await createSandbox(files);
    const link = await openLink(sandbox.url);
    const client = await sandbox.connect();
    const run = sandbox.start(['deploy', '--grace', '2s'], { env: { DB_URL: link.url } });
    await sessionIn(client, 'reached', 'active');
    link.cutAt('pg_advisory_unlock');
    await interrupt(run, 'SIGTERM');
    await openGate(sandbox);
    const result = await run.result;
    expect(result.exitCode).toBe(143);
    expect(result.stderr).toContain('2 alterations are applied, 1 is not.');
    await expectGone(sandbox);
  });
});

/** Waits until the run has looked over its second connection, which rests then. */
async function watched(client: Client): Promise<void> {
  await waitUntil('the run has looked around', async () => {
    const { rows } = await client.query(
      `select from pg_stat_activity where datname = current_database()
      and application_name like 'alteration % (side)' and state = 'idle' and query like '%pg_blocking_pids%'`,
    );
    return rows.length === 1;
  });
}

async function readIndexes({ query: read }: Sandbox) {
  return read<{ name: string; valid: boolean }>(
    `select relname as name, indisvalid as valid from pg_index join pg_class on oid = indexrelid
    where indrelid = to_regclass('effects')`,
  );
}

/** A way to the server that can be cut without either end being told. */
async function openLink(url: string) {
  const { hostname, port } = new URL(url);
  let silent = false;
  let last: string | undefined;
  const pass = (from: Socket, to: Socket) => {
    from.on('error', () => undefined);
    from.on('data', (bytes: Buffer) => {
      silent ||= last !== undefined && bytes.includes(last);
      if (!silent) to.write(bytes);
    });
  };
  const server = createServer((client) => {
    const upstream = openSocket(Number(port), hostname);
    pass(client, upstream);
    pass(upstream, client);
    client.on('close', () => upstream.destroy());
    upstream.on('close', () => silent || client.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return {
    url: withPort(url, portOf(server)),
    cut: () => {
      silent = true;
    },
    /** Lets nothing through from the bytes on that hold the text. */
    cutAt: (text: string) => {
      last = text;
    },
  };
}

/** Passes everything on, the server's answer to a cancel request late, and tells who hangs up first on those. */
async function startSlowAnswers(url: string) {
  const { hostname, port } = new URL(url);
  const hungUp: ('server' | 'client')[] = [];
  const server = createServer((client) => {
    const upstream = openSocket(Number(port), hostname);
    let isCancel = false;
    const hangUp = (by: 'server' | 'client') => {
      if (isCancel && !client.writableEnded) hungUp.push(by);
      client.end();
      upstream.end();
    };
    client.once('data', (bytes) => {
      isCancel = bytes.readInt32BE(4) === cancelRequest;
    });
    client.on('data', (bytes) => upstream.write(bytes));
    upstream.on('data', (bytes) => client.write(bytes));
    client.on('error', () => undefined).on('end', () => hangUp('client'));
    upstream.on('error', () => undefined);
    upstream.on('end', () => setTimeout(hangUp, isCancel ? 200 : 0, 'server'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return { url: withPort(url, portOf(server)), hungUp };
}

function portOf(server: Server): number {
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the server has no port');
  return address.port;
}

function withPort(source: string, port: number): string {
  const url = new URL(source);
  url.hostname = '127.0.0.1';
  url.port = String(port);
  return url.href;
}

describe.concurrent('a signal before the first alteration', () => {
  const nothing = { rows: [], effects: [] };
  const files = { ...first, ...third };

  async function expectNothingDone(sandbox: Sandbox, result: CliResult, signal: Signal): Promise<void> {
    expect(result).toMatchObject({ exitCode: exitCodes[signal], signal: null });
    expect(result.stderr).toContain(`✖ Stopped by ${signal}.\n`);
    await expectGone(sandbox);
    expect(await readState(sandbox)).toEqual(nothing);
  }

  const commands = [
    ['deploy', 'SIGTERM'],
    ['check', 'SIGINT'],
    ['status', 'SIGTERM'],
  ] as const;

  test.for(commands)('ends %s at once while the server says nothing (%s)', async ([command, signal]) => {
    const sandbox = await createSandbox(files);
    const server = createServer((socket) => void socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
    const connected = once(server, 'connection');
    const run = sandbox.start([command, '--connect-wait', '10m'], {
      env: { DB_URL: withPort(sandbox.url, portOf(server)) },
    });
    await connected;
    run.kill(signal);
    await expectNothingDone(sandbox, await run.result, signal);
  });

  test.for(commands)('ends %s at once while it waits for a server (%s)', async ([command, signal]) => {
    const sandbox = await createSandbox(files);
    const run = sandbox.start([command, '--connect-wait', '10m'], {
      env: { DB_URL: withPort(sandbox.url, await findFreePort()) },
    });
    await waitUntil('it waits', async () => run.stderr().includes('Waiting for '));
    run.kill(signal);
    await expectNothingDone(sandbox, await run.result, signal);
  });

  const loading = {
    ...first,
    '1.0.0-2-load.ts': `import { existsSync } from 'node:fs';
process.stderr.write('it is loaded\\n');
while (!existsSync('gate')) await new Promise((settle) => setTimeout(settle, 20));
export default { up: async () => {} };`,
  };

  test('while modules are loaded lets nothing begin', async () => {
    const sandbox = await createSandbox(loading);
    const run = sandbox.start(['deploy', '--grace', '10m']);
    await waitUntil('a module is loaded', async () => run.stderr().includes('it is loaded'));
    await interrupt(run, 'SIGTERM');
    await writeFile(join(sandbox.root, 'gate'), '');
    await expectNothingDone(sandbox, await run.result, 'SIGTERM');
    expect(await sandbox.run(['deploy'])).toMatchObject({ exitCode: 0 });
  });

  test('ends a module that does not come to the end of its loading', async () => {
    const sandbox = await createSandbox(loading);
    const run = sandbox.start(['deploy', '--grace', '300ms']);
    await waitUntil('a module is loaded', async () => run.stderr().includes('it is loaded'));
    run.kill('SIGINT');
    await expectNothingDone(sandbox, await run.result, 'SIGINT');
  });
});

describe.concurrent('a signal while others hold locks', () => {
  test.for([
    ['the table', 'effects'],
    ['the history', 'alteration_history'],
  ])('ends a deploy between two attempts to get those of %s', async ([, table]) => {
    const sandbox = await createSandbox(first);
    expect(await sandbox.run(['deploy'])).toMatchObject({ exitCode: 0 });
    await writeFiles(sandbox.dir, {
      '1.1.0-3-third.sql': 'alter table effects add note text; insert into effects values (3);',
    });
    const holder = await sandbox.connect();
    // Of the history what reads is let through, and what writes is not.
    await holder.query(`begin; lock table ${table} in share row exclusive mode`);
    const run = sandbox.start(['deploy', '--lock-timeout', '100ms', '--grace', '10m']);
    await waitUntil('it has tried again', async () => run.stderr().split('↻').length > 3);
    run.kill('SIGTERM');
    const result = await run.result;
    expect(result).toMatchObject({ exitCode: 143 });
    expect(result.stderr).toContain('0 alterations are applied, 1 is not.');
    await holder.query('rollback');
    await expectGone(sandbox);
    expect(await readState(sandbox)).toEqual({ rows: ['1'], effects: [1] });
    expect(await sandbox.run(['deploy'])).toMatchObject({ exitCode: 0 });
    expect(await readState(sandbox)).toEqual({ rows: ['1', '3'], effects: [1, 3] });
  });
});

test.concurrent.for(moments)(
  'a session that is lost ends the run with exit code 7 %s',
  async ([, meanwhile]) => {
    const sandbox = await createSandbox({ ...first, ...places[0]?.files });
    const client = await sandbox.connect();
    const run = await startAt({}, sandbox, ['deploy']);
    await meanwhile(client);
    await client.query(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'alteration deploy latest'`);
    expect(await run.result).toMatchObject({
      exitCode: 7,
      stderr: expect.stringContaining('✖ The database session was lost while "1.0.0-2-stay.sql" was in up'),
    });
    await expectGone(sandbox);
    expect(await readState(sandbox)).toEqual({ rows: ['1'], effects: [1] });
  },
);

describe.concurrent('a signal in a rollback', () => {
  const pair = (version: string, id: number, before: string) => ({
    [`${version}-${id}-pair.up.sql`]: effect(id),
    [`${version}-${id}-pair.down.sql`]: `${before} delete from effects where id = ${id};`,
  });
  const files = { ...first, ...pair('1.1.0', 2, ''), ...pair('1.2.0', 3, stay), ...pair('1.3.0', 4, '') };

  async function startRollback(sandbox: Sandbox, grace: string): Promise<SandboxRun> {
    expect(await sandbox.run(['deploy'])).toMatchObject({ exitCode: 0 });
    const rollback = ['rollback', '1.0.0', '--yes', '--grace', grace];
    return startAt({}, sandbox, rollback);
  }

  async function expectRolledBack(sandbox: Sandbox): Promise<void> {
    await openGate(sandbox);
    expect(await sandbox.run(['rollback', '1.0.0', '--yes'])).toMatchObject({ exitCode: 0 });
    expect(await readState(sandbox)).toEqual({ rows: ['1'], effects: [1] });
  }

  test('lets the alteration under way come to its end within the grace', async () => {
    const sandbox = await createSandbox(files);
    const run = await startRollback(sandbox, '10m');
    await interrupt(run, 'SIGINT');
    await openGate(sandbox);
    const { exitCode, stderr } = await run.result;
    expect(exitCode).toBe(130);
    expect(stderr).toContain('2 alterations are rolled back, 1 is not.');
    await expectGone(sandbox);
    expect(await readState(sandbox)).toEqual({ rows: ['1', '2'], effects: [1, 2] });
    await expectRolledBack(sandbox);
  });

  test('ends it when the grace is over, and nothing of it is done', async () => {
    const sandbox = await createSandbox(files);
    const run = await startRollback(sandbox, '300ms');
    run.kill('SIGTERM');
    const { exitCode, stderr } = await run.result;
    expect(exitCode).toBe(143);
    expect(stderr).toContain('1 alteration is rolled back, 2 are not.');
    await expectGone(sandbox);
    expect(await readState(sandbox)).toEqual({ rows: ['1', '2', '3'], effects: [1, 2, 3] });
    await expectRolledBack(sandbox);
  });
});

describe.concurrent('npm between the signal and the runner', () => {
  const { '1.0.0-2-stay.sql': slow = '' } = places[0]?.files ?? {};
  /** A shell that stays between them (dash), and one that gives its place to what it runs (bash, which often is `sh`). */
  const shells = [
    ['a shell', ''],
    ['no shell', 'exec '],
  ] as const;

  async function startNpm(prefix: string, command: readonly [string, ...string[]], detached = false) {
    const sandbox = await createSandbox({ ...first, '1.0.0-2-stay.sql': slow, ...third });
    const scripts = { alteration: `${prefix}node ${JSON.stringify(resolve('dist/bin.js'))}` };
    await writeFile(join(sandbox.root, 'package.json'), JSON.stringify({ type: 'module', scripts }));
    const [program, ...args] = command;
    const child = spawn(program, args, {
      cwd: sandbox.root,
      env: {
        PATH: process.env['PATH'],
        HOME: sandbox.root,
        SHELL: '/bin/sh',
        DB_URL: sandbox.url,
        ALTERATION_LOG_FORMAT: 'pretty',
      },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
    }
    const closed = once(child, 'close');
    await sessionIn(await sandbox.connect(), 'reached', 'active');
    return { sandbox, child, closed, output: () => output };
  }

  const npmRun = ['npm', 'run', '--silent', 'alteration', 'deploy', 'latest'] as const;
  const onTerminal = [
    'script',
    '-qec',
    `stty cols 80 rows 24; exec ${npmRun.join(' ')}`,
    '/dev/null',
  ] as const;

  test.runIf(hasTerminals).for(shells)('makes Ctrl-C one signal, with %s in between', async ([, prefix]) => {
    const { sandbox, child, closed, output } = await startNpm(prefix, onTerminal);
    child.stdin.write('\u0003');
    await waitUntil('the signal has arrived', async () => output().includes('Stopping'));
    await pause(700); // npm has had its time to send one more
    await openGate(sandbox);
    await closed;
    expect(output()).toContain('Stopped by SIGINT.');
    await expectGone(sandbox);
    expect(await readState(sandbox)).toEqual({ rows: ['1', '2'], effects: [1, 2] });
  });

  test.for(shells)('lets SIGTERM stop the runner, with %s in between', async ([, prefix]) => {
    const { sandbox, child, closed, output } = await startNpm(prefix, npmRun);
    child.kill('SIGTERM');
    await waitUntil('the signal has arrived', async () => output().includes('Stopping'));
    await openGate(sandbox);
    await closed;
    expect(output()).toContain('Stopped by SIGTERM.');
    await expectGone(sandbox);
    expect(await readState(sandbox)).toEqual({ rows: ['1', '2'], effects: [1, 2] });
  });

  test.for(shells)('takes a SIGTERM to all of the group for one, with %s in between', async ([, prefix]) => {
    const { sandbox, child, closed, output } = await startNpm(prefix, npmRun, true);
    process.kill(-Number(child.pid), 'SIGTERM');
    await waitUntil('the signal has arrived', async () => output().includes('Stopping'));
    await pause(700); // the shell is gone, and npm has sent one more
    await openGate(sandbox);
    await closed;
    expect(output()).toContain('Stopped by SIGTERM.');
    await expectGone(sandbox);
    expect(await readState(sandbox)).toEqual({ rows: ['1', '2'], effects: [1, 2] });
  });

  test.for([
    ['a file that its script runs', 'sh ./detach.sh'],
    ['its script itself', `node '${resolve('dist/bin.js')}' deploy > log 2>&1 & sleep 0.3`],
  ] as const)('lets a runner go on that %s has sent to the background', async ([, detach]) => {
    const sandbox = await createSandbox({ ...first, '1.0.0-2-stay.sql': slow, ...third });
    await writeFile(
      join(sandbox.root, 'package.json'),
      JSON.stringify({ type: 'module', scripts: { detach } }),
    );
    await writeFile(
      join(sandbox.root, 'detach.sh'),
      `node '${resolve('dist/bin.js')}' deploy > log 2>&1 &\n`,
    );
    const env = { PATH: process.env['PATH'], HOME: sandbox.root, DB_URL: sandbox.url };
    await once(spawn('npm', ['run', 'detach'], { cwd: sandbox.root, env, stdio: 'ignore' }), 'close');
    await sessionIn(await sandbox.connect(), 'reached', 'active');
    await pause(700); // it would have noticed that its parent is gone
    await openGate(sandbox);
    await expectGone(sandbox);
    expect(await readState(sandbox)).toEqual({ rows: ['1', '2', '3'], effects: [1, 2, 3] });
  });

  test('ends with its exit code where no shell is in between', async () => {
    const { sandbox, child } = await startNpm('exec ', npmRun);
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await openGate(sandbox);
    expect(await exited).toEqual([143, null]);
  });
});

describe.concurrent('output that is longer than a pipe holds', () => {
  const many = Object.fromEntries(
    Array.from({ length: 500 }, (_, index) => [`1.0.0-${index + 1}-one-of-many.sql`, 'select 1;']),
  );

  async function runShell({ root, url }: Sandbox, script: string) {
    const command = `'${process.execPath}' '${resolve('dist/bin.js')}'`;
    const child = spawn('sh', ['-c', script.replace('alteration', command)], {
      cwd: root,
      env: { PATH: process.env['PATH'], HOME: process.env['HOME'], DB_URL: url },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [stdout, stderr] = await Promise.all([readText(child.stdout), readText(child.stderr)]);
    return { stdout, stderr, exitCode: (await readFile(join(root, 'code'), 'utf8')).trim() };
  }

  test('is cut by head, and that is no failure', async () => {
    const sandbox = await createSandbox(many);
    const result = await runShell(sandbox, '{ alteration list --json; echo $? > code; } | head -1');
    expect(result).toEqual({ stdout: '{\n', stderr: '', exitCode: '0' });
  });

  test('reaches a reader that is slow', async () => {
    const sandbox = await createSandbox(many);
    const result = await runShell(sandbox, '{ alteration list --json; echo $? > code; } | { sleep 1; cat; }');
    expect(result).toMatchObject({ stderr: '', exitCode: '0' });
    expect(listReportSchema.parse(JSON.parse(result.stdout)).alterations).toHaveLength(500);
  });

  test.for(['>&-', '2>&-'])('is of no concern when the stream is closed: %s', async (redirection) => {
    const sandbox = await createSandbox(first);
    const result = await runShell(sandbox, `alteration deploy ${redirection}; echo $? > code`);
    expect(result).toMatchObject({ exitCode: '0' });
    expect(await readState(sandbox)).toEqual({ rows: ['1'], effects: [1] });
  });

  test('is no failure of a deploy whose log is cut by head', async () => {
    const sandbox = await createSandbox(many);
    const script = '{ alteration deploy --log-level debug 2>&1 > report; echo $? > code; } | head -1';
    expect(await runShell(sandbox, script)).toMatchObject({ stderr: '', exitCode: '0' });
    expect(await sandbox.query('select count(*)::int from alteration_history')).toEqual([{ count: 500 }]);
    expect(await readFile(join(sandbox.root, 'report'), 'utf8')).toMatch(/^Applied 500 alterations/);
  });
});
