import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ConfigurationError, DatabaseRefusedError, DatabaseUnreachableError } from '../../src/core/errors.ts';
import { withEmbeddedServer } from '../../src/postgres/embedded-server.ts';

const COMMAND = fileURLToPath(new URL('../support/use-embedded-server.ts', import.meta.url));
const children: ChildProcess[] = [];
let base = '';
let folder = '';

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'embedded-'));
  folder = join(base, 'shared');
  await withEmbeddedServer(folder, async () => undefined);
});

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

afterAll(() => rm(base, { recursive: true, force: true }));

describe('the folder', () => {
  it('is created with its parents and keeps its databases', async () => {
    const fresh = join(base, 'some', 'where');

    await withEmbeddedServer(fresh, ({ connectionString }) =>
      query(connectionString, 'create table kept ()'),
    );
    const rows = await withEmbeddedServer(fresh, ({ connectionString }) =>
      query(connectionString, `select 'kept'::regclass::text as name, current_setting('fsync') as fsync`),
    );

    expect(rows).toEqual([{ name: 'kept', fsync: 'on' }]);
    expect((await readdir(fresh)).sort()).toEqual(['data', 'password', 'server.log']);
  });

  it('has a password that only its owner reads', async () => {
    const { mode } = await stat(join(folder, 'password'));

    expect((mode & 0o777).toString(8)).toBe('600');
  });

  // For root the server runs as another account, which a private parent keeps out.
  it.each([
    { mode: 0o700, octal: '700' },
    { mode: 0o755, octal: '755' },
  ])('works under a parent of mode $octal', async ({ mode }) => {
    const parent = await mkdtemp(join(tmpdir(), 'embedded-'));
    await chmod(parent, mode);

    const address = await withEmbeddedServer(
      join(parent, 'server'),
      async (server) => server.connectionString,
    );

    await expectGone(join(parent, 'server'), address);
    await rm(parent, { recursive: true });
  });

  it('is refused when its cluster is of another major version', async () => {
    const file = join(folder, 'data', 'PG_VERSION');
    const version = await readFile(file, 'utf8');
    await writeFile(file, '12\n');

    const error = await failure(withEmbeddedServer(folder, async () => undefined));

    await writeFile(file, version);
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error.message).toContain('PostgreSQL 12');
    expect(error.message).toContain(`PostgreSQL ${version.trim()}`);
  });
});

describe('several commands at once', () => {
  it('share one server in a new folder, and leave none', async () => {
    const fresh = join(base, 'race');

    const runs = [1, 2, 3, 4].map(() => run(fresh));
    const addresses = await Promise.all(runs.map(readAddress));
    const codes = await Promise.all(runs.map(finish));

    expect(new Set(addresses).size).toBe(1);
    expect(codes).toEqual([0, 0, 0, 0]);
    await expectGone(fresh, addresses[0]);
    expect((await readdir(fresh)).sort()).toEqual(['data', 'password', 'server.log']);
  });

  it('come and go, and each finds a server', async () => {
    const runs = Array.from({ length: 12 }, async (_, index) => {
      await new Promise((resolve) => setTimeout(resolve, index * 40));
      return withEmbeddedServer(folder, ({ connectionString }) => query(connectionString, 'select 1 as one'));
    });

    expect(await Promise.all(runs)).toEqual(Array.from({ length: 12 }, () => [{ one: 1 }]));
    await expectGone(folder);
  });

  it('keep the server until the last one leaves', async () => {
    const other = run(folder);
    const address = await readAddress(other);
    const first = await withEmbeddedServer(folder, async (server) => server.connectionString);

    const rows = await query(address, 'select 1 as one');
    await finish(other);

    expect(first).toBe(address);
    expect(rows).toEqual([{ one: 1 }]);
    await expectGone(folder, address);
  });
});

describe('a failure', () => {
  it('of a command that is killed leaves a server that the next one joins and stops', async () => {
    const killed = run(folder);
    const address = await readAddress(killed);
    killed.kill('SIGKILL');
    await once(killed, 'exit');

    const next = await withEmbeddedServer(folder, async (server) => server.connectionString);

    expect(next).toBe(address);
    await expectGone(folder, address);
  });

  it('of a killed server is recovered from', async () => {
    await withEmbeddedServer(folder, async () => {
      process.kill(await readServerPid(), 'SIGKILL');
    });

    const rows = await withEmbeddedServer(folder, ({ connectionString }) =>
      query(connectionString, 'select 1 as one'),
    );

    expect(rows).toEqual([{ one: 1 }]);
    await expectGone(folder);
  });

  it('of the work is thrown as it is, and the server is stopped', async () => {
    const defect = new Error('defect');
    let address: string | undefined;

    const error = await failure(
      withEmbeddedServer(folder, async ({ connectionString }) => {
        address = connectionString;
        throw defect;
      }),
    );

    expect(error).toBe(defect);
    await expectGone(folder, address);
  });

  it('of the session that marks a user does not keep the server from being stopped', async () => {
    const address = await withEmbeddedServer(folder, async ({ connectionString }) => {
      await query(
        connectionString,
        `select pg_terminate_backend(pid) from pg_stat_activity
        where backend_type = 'client backend' and pid <> pg_backend_pid()`,
      );
      return connectionString;
    });

    await expectGone(folder, address);
  });

  it('of the start shows what the server wrote', async () => {
    const file = join(folder, 'data', 'postgresql.auto.conf');
    const settings = await readFile(file, 'utf8');
    await appendFile(file, `nonsense = 1\n`);

    const error = await failure(withEmbeddedServer(folder, async () => undefined));

    await writeFile(file, settings);
    expect(error).toBeInstanceOf(DatabaseUnreachableError);
    expect(error).toHaveProperty(
      'problems',
      expect.arrayContaining([{ message: expect.stringContaining('nonsense') }]),
    );
    await expectGone(folder);
  });

  it('of the password is a refusal, and leaves no server', async () => {
    const file = join(folder, 'password');
    const password = await readFile(file, 'utf8');
    await writeFile(file, 'another\n');

    const error = await failure(withEmbeddedServer(folder, async () => undefined));

    await writeFile(file, password);
    expect(error).toBeInstanceOf(DatabaseRefusedError);
    expect(error.message).not.toContain('another');
    await expectGone(folder);
  });
});

describe('postmaster.pid', () => {
  it.each(['ready   ', 'starting'])(
    'of a crash is no server, though its process id lives and it says "%s"',
    async (status) => {
      const file = join(folder, 'data', 'postmaster.pid');
      const lines = await withEmbeddedServer(folder, async () => (await readFile(file, 'utf8')).split('\n'));
      const { uid, gid } = await stat(join(folder, 'data'));
      const stranger = spawn('sleep', ['60'], process.getuid?.() === 0 ? { uid, gid } : {});
      children.push(stranger);
      await writeFile(file, [stranger.pid, ...lines.slice(1, 7), status, ''].join('\n'));

      const rows = await withEmbeddedServer(folder, ({ connectionString }) =>
        query(connectionString, 'select 1 as one'),
      );

      expect(rows).toEqual([{ one: 1 }]);
      expect(stranger.exitCode).toBeNull();
      await expectGone(folder);
    },
  );
});

describe('a signal', () => {
  it('that has been given starts nothing', async () => {
    const reason = new Error('stopped');

    const error = await failure(
      withEmbeddedServer(join(base, 'never'), async () => undefined, { signal: AbortSignal.abort(reason) }),
    );

    expect(error).toBe(reason);
    expect(await readdir(base)).not.toContain('never');
  });

  it.each(['Creating', 'Starting'])('at "%s" ends the preparations and leaves no server', async (moment) => {
    const fresh = join(base, `stopped-${moment}`);
    const reason = new Error('stopped');
    const controller = new AbortController();
    const onProgress = (message: string) => {
      if (message.startsWith(moment)) setTimeout(() => controller.abort(reason), 20);
    };

    const error = await failure(
      withEmbeddedServer(fresh, async () => 'done', { signal: controller.signal, onProgress }),
    );

    expect(error).toBe(reason);
    expect((await readdir(fresh)).filter((name) => name.endsWith('.new'))).toEqual([]);
    await expectGone(fresh);
  });
});

function run(where: string): ChildProcess {
  const child = spawn(process.execPath, [COMMAND, where], { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

async function readAddress({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) return '';
  const [chunk] = (await once(stdout, 'data')) as [Buffer];
  return chunk.toString().trim();
}

async function finish(child: ChildProcess): Promise<number | null> {
  child.stdin?.end();
  if (child.exitCode === null) await once(child, 'exit');
  return child.exitCode;
}

async function query(connectionString: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function failure(outcome: Promise<unknown>): Promise<Error> {
  return outcome.then(
    () => new Error('It has not failed.'),
    (error: Error) => error,
  );
}

async function readServerPid(): Promise<number> {
  return Number.parseInt(await readFile(join(folder, 'data', 'postmaster.pid'), 'utf8'), 10);
}

async function expectGone(where: string, address?: string): Promise<void> {
  expect(await readdir(join(where, 'data')).catch(() => [])).not.toContain('postmaster.pid');
  if (address === undefined) return;
  const socket = createConnection(Number(new URL(address).port), '127.0.0.1');
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ECONNREFUSED');
}
