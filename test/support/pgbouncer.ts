import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { findFreePort, whenOrphaned } from './private-server.ts';

/** A PgBouncer of a test's own. */
export interface PgBouncer {
  readonly port: number;
  /** The server's URL with its way through the pooler: any role of the server that has a password gets in. */
  readonly url: (database: string) => string;
  /** Runs a command of its console, such as `show servers`. */
  readonly console: (command: string) => Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** What it has logged so far. */
  readonly log: () => string;
  readonly stop: () => Promise<void>;
}

export interface PgBouncerOptions {
  /** With the name and the password of a superuser, whom PgBouncer asks for the other roles' passwords. */
  readonly serverUrl: string;
  readonly poolMode: 'transaction' | 'session' | 'statement';
  /** Of the section [pgbouncer], beyond those that make it run. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

const startLimitMs = 10_000;
const stopLimitMs = 5_000;
const attempts = 3;

/**
 * Starts Debian's PgBouncer as it comes, on a free loopback port. What a stock one refuses is refused here too:
 * `ignore_startup_parameters` stays empty.
 */
export async function startPgBouncer(options: PgBouncerOptions): Promise<PgBouncer> {
  const folder = await mkdtemp(join(tmpdir(), 'alteration-pgbouncer-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    await chmod(folder, 0o755); // the account that it runs as reads in it
    return await startOnFreePort(folder, options, remove);
  } catch (error) {
    await remove();
    throw error;
  }
}

async function startOnFreePort(
  folder: string,
  options: PgBouncerOptions,
  remove: () => Promise<void>,
): Promise<PgBouncer> {
  let log = '';
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const port = await findFreePort();
    await configure(folder, port, options);
    const running = await spawnPgBouncer(join(folder, 'pgbouncer.ini'));
    const pooler = openPooler(running, port, options, remove);
    if (await answers(pooler, running)) return pooler;
    await end(running);
    log = running.log();
    if (!/address already in use/i.test(log)) break;
  }
  throw new Error(`PgBouncer does not start:\n${log}`);
}

async function configure(folder: string, port: number, options: PgBouncerOptions): Promise<void> {
  const { hostname, port: serverPort, username, password } = new URL(options.serverUrl);
  const user = decodeURIComponent(username);
  const settings = {
    listen_addr: '127.0.0.1',
    listen_port: port,
    unix_socket_dir: '',
    auth_type: 'scram-sha-256',
    auth_file: join(folder, 'userlist.txt'),
    auth_user: user,
    admin_users: user,
    pool_mode: options.poolMode,
    ...options.settings,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
  const database = `* = host=${hostname} port=${serverPort || 5432}`;
  await writeFile(
    join(folder, 'pgbouncer.ini'),
    `[databases]\n${database}\n\n[pgbouncer]\n${lines.join('')}`,
  );
  await writeFile(join(folder, 'userlist.txt'), `${quote(user)} ${quote(decodeURIComponent(password))}\n`);
}

function quote(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

interface Running {
  readonly child: ChildProcess;
  readonly log: () => string;
  /** To be called when it is over. */
  readonly callOff: () => void;
}

async function spawnPgBouncer(config: string): Promise<Running> {
  const account = process.getuid?.() === 0 ? await readNobody() : {};
  const path = [process.env['PATH'], '/usr/sbin'].join(delimiter); // Debian's place, which users do not have in PATH
  const child = spawn('pgbouncer', [config], {
    ...account,
    env: { PATH: path },
    cwd: '/',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  const append = (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-100_000);
  };
  child.stdout.on('data', append);
  child.stderr.on('data', append);
  await once(child, 'spawn').catch((error: unknown) => {
    throw missing(error);
  });
  const callOff = whenOrphaned('kill -KILL "$1"; rm -rf "$2"', [String(child.pid), dirname(config)]);
  return { child, log: () => log, callOff };
}

function missing(cause: unknown): Error {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new Error(`PgBouncer cannot be run (${reason}): install Debian's package "pgbouncer".`, { cause });
}

/** PgBouncer refuses to run as root. */
async function readNobody(): Promise<{ readonly uid: number; readonly gid: number }> {
  const run = promisify(execFile);
  const [uid, gid] = await Promise.all(['-u', '-g'].map((kind) => run('id', [kind, 'nobody'])));
  return { uid: Number(uid?.stdout), gid: Number(gid?.stdout) };
}

function openPooler(
  running: Running,
  port: number,
  { serverUrl }: PgBouncerOptions,
  remove: () => Promise<void>,
): PgBouncer {
  const url = (database: string) => {
    const source = new URL(serverUrl);
    source.host = `127.0.0.1:${port}`;
    source.pathname = `/${encodeURIComponent(database)}`;
    return source.href;
  };
  return {
    port,
    url,
    console: (command) => runCommand(url('pgbouncer'), command),
    log: running.log,
    stop: async () => {
      await end(running);
      await remove();
    },
  };
}

async function runCommand(url: string, command: string): Promise<readonly Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: startLimitMs });
  client.on('error', () => undefined); // it may end under the command, whose failure tells
  await client.connect();
  try {
    const { rows } = await client.query<Record<string, unknown>>(command);
    return rows;
  } finally {
    await client.end();
  }
}

async function answers(pooler: PgBouncer, { child }: Running): Promise<boolean> {
  const start = performance.now();
  while (performance.now() - start < startLimitMs && isRunning(child)) {
    const answered = await pooler.console('show version').then(
      () => true,
      () => false,
    );
    if (answered) return true;
    await pause(20);
  }
  return false;
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

/** SIGTERM has it leave at once, clients or not. */
async function end({ child, callOff }: Running): Promise<void> {
  callOff();
  if (!isRunning(child)) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const deadline = setTimeout(() => child.kill('SIGKILL'), stopLimitMs);
  await gone;
  clearTimeout(deadline);
}
