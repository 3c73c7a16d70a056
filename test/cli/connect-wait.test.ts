import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { chown, readFile, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { errorReportSchema } from '../../src/index.ts';
import { runSql } from '../support/database.ts';
import { type PrivateServer, startPrivateServer } from '../support/private-server.ts';
import { password, type Sandbox, type SandboxRun, useSandboxes } from '../support/sandbox.ts';
import { waitUntil } from '../support/wait-until.ts';

const createSandbox = useSandboxes();
const servers: Server[] = [];
afterAll(() => {
  for (const server of servers) server.close();
});

const files = { '1.0.0-1-first.sql': 'create table first (id int);' };

function atPort(source: string, port: number): string {
  return edited(source, (url) => {
    url.hostname = '127.0.0.1';
    url.port = String(port);
  });
}

function edited(source: string, edit: (url: URL) => void): string {
  const url = new URL(source);
  edit(url);
  return url.href;
}

/** A port where nothing listens, and that the system gives to nobody meanwhile. */
async function findQuietPort(): Promise<number> {
  for (;;) {
    const server = createServer().listen(randomInt(20_000, 30_000), '127.0.0.1');
    const free = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!free) continue;
    const port = portOf(server);
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** Waits until the run says that it waits, and why. */
function waits(run: SandboxRun, reason: string): Promise<unknown> {
  return waitUntil(`it waits: ${reason}, and not\n${run.stderr()}`, async () =>
    run
      .stderr()
      .split('\n')
      .some((line) => line.startsWith('Waiting for ') && line.includes(reason)),
  );
}

/** Listens on the port; what comes is passed on to the server of the URL. */
async function openWay(port: number, source: string): Promise<void> {
  const { hostname, port: target } = new URL(source);
  const server = createServer((client) => {
    const upstream = connect(Number(target), hostname);
    for (const socket of [client, upstream]) socket.on('error', () => socket.destroy());
    client.pipe(upstream).pipe(client);
  }).listen(port, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
}

/** A server that does the same with every connection. */
async function listen(onConnection: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    onConnection(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  return portOf(server);
}

function portOf(server: Server): number {
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('the server has no port');
  return address.port;
}

const nothingListens = 'nothing listens there (ECONNREFUSED).';

describe.concurrent('while nothing listens', () => {
  test.for([
    ['deploy', 0, 'Applied 1 alteration'],
    ['rollback 0.0.0 --yes', 0, 'Nothing rolled back'],
    ['baseline latest', 0, 'Recorded 1 alteration'],
    ['check', 3, '1 alteration pending'],
    ['list', 0, '1 pending'],
    ['status', 0, 'Database'],
  ] as const)('%s says that it waits, and goes on when somebody does', async ([command, exitCode, says]) => {
    const sandbox = await createSandbox(files);
    const port = await findQuietPort();
    const run = sandbox.start([...command.split(' '), '--connect-wait', '10m'], {
      env: { DB_URL: atPort(sandbox.url, port) },
    });
    await waits(run, `127.0.0.1:${port}: ${nothingListens}`);
    await pause(1_500); // for some more attempts
    await openWay(port, sandbox.url);
    const result = await run.result;
    expect(result).toMatchObject({ exitCode, stdout: expect.stringContaining(says) });
    expect(result.stderr.match(/Waiting for /g)).toHaveLength(1);
    expect(result.stderr).not.toContain('✖');
  });

  test('a log line has the reason and the time', async () => {
    const sandbox = await createSandbox(files);
    const port = await findQuietPort();
    const { exitCode, stderr } = await sandbox.run(['deploy', '--connect-wait', '300ms'], {
      env: { DB_URL: atPort(sandbox.url, port), ALTERATION_LOG_FORMAT: 'json' },
    });
    expect(exitCode).toBe(9);
    expect(
      stderr
        .trimEnd()
        .split('\n')
        .map((line): unknown => JSON.parse(line)),
    ).toMatchObject([
      {
        level: 'warn',
        msg: 'waiting for the database',
        reason: `The database at 127.0.0.1:${port} cannot be reached: ${nothingListens}`,
        waitedMs: expect.any(Number),
      },
      { level: 'error', code: 'database-unreachable', exitCode: 9 },
    ]);
  });

  test('a wait that is in vain ends with exit code 9, and tells how long it was', async () => {
    const sandbox = await createSandbox(files);
    const port = await findQuietPort();
    const { exitCode, stdout } = await sandbox.run(['deploy', '--json', '--connect-wait', '1s'], {
      env: { DB_URL: atPort(sandbox.url, port) },
    });
    expect(exitCode).toBe(9);
    expect(errorReportSchema.parse(JSON.parse(stdout)).error).toMatchObject({
      code: 'database-unreachable',
      exitCode: 9,
      message: `The database at 127.0.0.1:${port} cannot be reached: ${nothingListens}`,
      hint: expect.stringMatching(/^Tried for 1\.\d s\. Nothing was changed\./),
    });
  });

  test('there is one attempt without a wait', async () => {
    const sandbox = await createSandbox(files);
    const { exitCode, stderr } = await sandbox.run(['deploy'], {
      env: { DB_URL: atPort(sandbox.url, await findQuietPort()), ALTERATION_CONNECT_WAIT: '0' },
    });
    expect(exitCode).toBe(9);
    expect(stderr).not.toContain('Waiting');
    expect(stderr).not.toContain('Tried');
  });

  test('the wait of a check takes its place', async () => {
    const sandbox = await createSandbox(files);
    const { exitCode, stderr } = await sandbox.run(['check', '--wait', '1s', '--connect-wait', '10m'], {
      env: { DB_URL: atPort(sandbox.url, await findQuietPort()) },
    });
    expect(exitCode).toBe(9);
    expect(stderr).toContain('Waiting: The database');
  });
});

describe.concurrent('a server that is not ready is waited for:', () => {
  /** Waits in vain for a while. */
  const vainly = (sandbox: Sandbox, source: string) =>
    sandbox.run(['deploy', '--connect-wait', '600ms'], { env: { DB_URL: source } });

  test('its name does not resolve', async () => {
    const sandbox = await createSandbox(files);
    const { exitCode, stderr } = await vainly(
      sandbox,
      edited(sandbox.url, (url) => {
        url.hostname = 'no-such-host.invalid';
      }),
    );
    expect(exitCode).toBe(9);
    expect(stderr).toMatch(/^Waiting for no-such-host\.invalid:\d+: /m);
  });

  test('it hangs up', async () => {
    const sandbox = await createSandbox(files);
    const { exitCode, stderr } = await vainly(
      sandbox,
      atPort(sandbox.url, await listen((socket) => void socket.destroy())),
    );
    expect(exitCode).toBe(9);
    expect(stderr).toMatch(/^Waiting for 127\.0\.0\.1:\d+: /m);
  });

  test('its Unix socket is not there yet', async () => {
    const sandbox = await createSandbox(files);
    const { exitCode, stderr } = await vainly(sandbox, `postgres:///app?host=${sandbox.root}`);
    expect(exitCode).toBe(9);
    expect(stderr).toContain(`Waiting for ${sandbox.root}:5432: `);
  });

  test('it has no connection left for the role', async () => {
    const sandbox = await createSandbox(files);
    const role = `${sandbox.name}_one`;
    await sandbox.query(`create role ${role} login password 'only' connection limit 1;
      grant create on schema public to ${role}`);
    const source = edited(sandbox.url, (url) => {
      url.username = role;
      url.password = 'only';
    });
    const other = new pg.Client({ connectionString: source });
    await other.connect();
    const run = sandbox.start(['deploy', '--connect-wait', '10m'], { env: { DB_URL: source } });
    await waits(run, 'too many connections for role');
    await other.end();
    expect(await run.result).toMatchObject({ exitCode: 0 });
    await sandbox.query(`drop owned by ${role} cascade; drop role ${role}`);
  });
});

describe('a server that is restarted is waited for:', () => {
  let server: PrivateServer;
  let folder: string;

  beforeAll(async () => {
    server = await startPrivateServer({ settings: { hot_standby: 'off' } });
    const [row] = await runSql<{ folder: string }>(
      server.url,
      `select current_setting('data_directory') as folder`,
    );
    folder = row?.folder ?? '';
  });
  afterAll(() => server.stop());

  const signal = async (name: NodeJS.Signals) => {
    const [pid] = (await readFile(join(folder, 'postmaster.pid'), 'utf8')).split('\n');
    process.kill(Number(pid), name);
  };
  /** An empty file that the server may remove. */
  const place = async (name: string) => {
    const { uid, gid } = await stat(folder);
    await writeFile(join(folder, name), '');
    await chown(join(folder, name), uid, gid);
  };

  test('it shuts down, is gone, and comes back', async () => {
    const sandbox = await createSandbox(files);
    const last = new pg.Client({ connectionString: server.url });
    last.on('error', () => undefined);
    await last.connect();
    await signal('SIGTERM'); // it takes nobody else, and waits for who is there
    const run = sandbox.start(['deploy', '--connect-wait', '10m'], { env: { DB_URL: server.url } });
    await waits(run, 'the database system is shutting down');
    await last.end();
    await waitUntil('it is gone', () =>
      stat(join(folder, 'postmaster.pid')).then(
        () => false,
        () => true,
      ),
    );
    await waits(run, nothingListens);
    await server.start();
    expect(await run.result).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('Applied 1') });
  });

  test('it starts, and takes nobody until it has recovered', async () => {
    const sandbox = await createSandbox({ '1.0.0-2-second.sql': 'create table second (id int);' });
    await server.halt('fast');
    await place('standby.signal'); // it recovers until it is told that this is enough
    await server.start();
    const run = sandbox.start(['deploy', '--connect-wait', '10m'], { env: { DB_URL: server.url } });
    await waits(run, 'the database system is not');
    await place('promote');
    await signal('SIGUSR1');
    expect(await run.result).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('Applied 1') });
  });
});

describe.concurrent('a server that refuses is told at once, in its own words:', () => {
  const cases: readonly (readonly [string, (url: URL, sandbox: Sandbox) => void, string | RegExp])[] = [
    [
      'a wrong password',
      (url) => {
        url.password = 'wrong';
      },
      'password authentication failed for user',
    ],
    [
      'a role that does not exist',
      (url) => {
        url.username = 'nobody_at_all';
      },
      'password authentication failed for user "nobody_at_all"',
    ],
    [
      'a database that does not exist',
      (url) => {
        url.pathname = '/nowhere_at_all';
      },
      'database "nowhere_at_all" does not exist',
    ],
    [
      'TLS that it does not have',
      (url) => {
        url.search = '?sslmode=require';
      },
      'The server does not support SSL connections',
    ],
  ];

  async function expectRefused(sandbox: Sandbox, source: string, says: string | RegExp): Promise<void> {
    const result = await sandbox.run(['deploy', '--json', '--connect-wait', '20s'], {
      env: { DB_URL: source },
    });
    expect(result.exitCode).toBe(2);
    expect(result.stderr).not.toContain('Waiting');
    expect(errorReportSchema.parse(JSON.parse(result.stdout)).error).toMatchObject({
      code: 'database-refused',
      message: expect.stringMatching(says),
    });
  }

  test.for(cases)('%s', async ([, edit, says]) => {
    const sandbox = await createSandbox(files);
    await expectRefused(
      sandbox,
      edited(sandbox.url, (url) => edit(url, sandbox)),
      says,
    );
  });

  test.for([
    ['a role that may not log in', 'nologin', 'is not permitted to log in'],
    ['a password that is too old', `login valid until '2000-01-01'`, 'password authentication failed'],
  ] as const)('%s', async ([, option, says]) => {
    const sandbox = await createSandbox(files);
    const role = `${sandbox.name}_out`;
    await sandbox.query(`create role ${role} password 'out' ${option}`);
    const source = edited(sandbox.url, (url) => {
      url.username = role;
      url.password = 'out';
    });
    await expectRefused(sandbox, source, says);
    await sandbox.query(`drop role ${role}`);
  });

  test('a database that takes no connections', async () => {
    const sandbox = await createSandbox(files);
    await runSql(inject('serverUrl'), `alter database ${sandbox.name} allow_connections false`);
    await expectRefused(sandbox, sandbox.url, 'is not currently accepting connections');
  });

  test('a server that wants no such user, as pg_hba.conf says', async () => {
    const sandbox = await createSandbox(files);
    const port = await listen((socket) => refuse(socket, '28000', 'no pg_hba.conf entry for host'));
    await expectRefused(sandbox, atPort(sandbox.url, port), 'no pg_hba.conf entry for host');
  });

  // PgBouncer has one code for all that it says by itself, and for nearly all that the server said to it.
  test.for([
    ['password', 'SASL authentication failed'],
    ['user', 'no such user'],
    ['database', 'database "nowhere_at_all" does not exist'],
    ['database, in an older one', 'no such database: nowhere_at_all'],
  ] as const)('what PgBouncer does not know: %s', async ([, message]) => {
    const sandbox = await createSandbox(files);
    const port = await listen((socket) => refuse(socket, '08P01', message));
    await expectRefused(sandbox, atPort(sandbox.url, port), message);
  });

  /** Answers the first message with an error of PostgreSQL's protocol, and hangs up. */
  function refuse(socket: Socket, code: string, message: string): void {
    socket.once('data', () => {
      const fields = Buffer.from(`SFATAL\0VFATAL\0C${code}\0M${message}\0\0`);
      const head = Buffer.from('E\0\0\0\0');
      head.writeInt32BE(fields.length + 4, 1);
      socket.end(Buffer.concat([head, fields]));
    });
  }
});

test('the password is in nothing that is said while a database is waited for', async () => {
  const sandbox = await createSandbox(files);
  const source = atPort(sandbox.url, await findQuietPort());
  expect(source).toContain(encodeURIComponent(password)); // the sandbox looks for it in what is said
  for (const format of ['pretty', 'json']) {
    const result = await sandbox.run(
      ['deploy', '--json', '--connect-wait', '300ms', '--log-level', 'debug'],
      {
        env: { DB_URL: source, ALTERATION_LOG_FORMAT: format },
      },
    );
    expect(result.exitCode).toBe(9);
  }
});
