import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Cluster, DATA, LOG, openCluster } from '../../src/postgres/embedded-cluster.ts';
import { type ProgramResult, runProgram } from '../../src/postgres/embedded-programs.ts';

/** `immediate` ends the server as a crash would, and it recovers; `fast` ends sessions and writes all down. */
export type Shutdown = 'immediate' | 'fast';

/** A PostgreSQL that nobody else uses, and that may be stopped under those who do. */
export interface PrivateServer {
  /** `postgres://postgres:<password>@127.0.0.1:<port>/postgres` */
  readonly url: string;
  readonly port: number;
  /** Stops it and starts it again on the same port and folder; done when it takes connections again. */
  readonly restart: (shutdown: Shutdown) => Promise<void>;
  /** Only stops it; `start` starts it again. */
  readonly halt: (shutdown: Shutdown) => Promise<void>;
  readonly start: () => Promise<void>;
  /** The end of its log. */
  readonly readLog: () => Promise<string>;
  /** Stops it for good and removes its folder. */
  readonly stop: () => Promise<void>;
}

export interface PrivateServerOptions {
  /** Beyond the loopback address any address with the password gets in. Default `127.0.0.1`. */
  readonly listenAddresses?: string;
  /** Of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

const limitSeconds = 60;
const attempts = 3;

// Written to the operating system at commit, which outlives the server though not the machine: enough to recover.
const haste = { fsync: 'off', full_page_writes: 'off', shared_buffers: '32MB', unix_socket_directories: '' };

/** Starts a server of the programs that npm installed, also for root. */
export async function startPrivateServer({
  listenAddresses = '127.0.0.1',
  settings = {},
}: PrivateServerOptions = {}): Promise<PrivateServer> {
  const folder = await mkdtemp(join(tmpdir(), 'alteration-private-server-'));
  const callOff = watchFolder(folder);
  try {
    const cluster = await openCluster(folder, {});
    await configure(cluster, { ...haste, listen_addresses: listenAddresses, ...settings });
    if (listenAddresses !== '127.0.0.1') await admitAll(cluster);
    const port = await startOnFreePort(cluster);
    return openServer(cluster, port, callOff);
  } catch (error) {
    callOff();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

function openServer(cluster: Cluster, port: number, callOff: () => void): PrivateServer {
  const { folder, password } = cluster;
  const start = () => startServer(cluster, port).then(requireSuccess);
  const halt = (shutdown: Shutdown) => stopServer(cluster, shutdown).then(requireSuccess);
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    port,
    start,
    halt,
    restart: async (shutdown) => {
      await halt(shutdown);
      await start();
    },
    readLog: async () => (await readFile(join(folder, LOG), 'utf8')).slice(-20_000),
    stop: async () => {
      if (await isRunning(cluster)) await halt('immediate');
      callOff();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function configure({ folder }: Cluster, settings: Readonly<Record<string, string | number>>) {
  const lines = Object.entries(settings).map(
    ([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`,
  );
  await appendFile(join(folder, DATA, 'postgresql.conf'), lines.join(''));
}

async function admitAll({ folder }: Cluster): Promise<void> {
  await appendFile(join(folder, DATA, 'pg_hba.conf'), 'host all all all scram-sha-256\n');
}

/** The port may be taken by another between its choice and its use. */
async function startOnFreePort(cluster: Cluster): Promise<number> {
  let output = '';
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const port = await findFreePort();
    const result = await startServer(cluster, port);
    if (result.exitCode === 0) return port;
    output = result.output + (await readFile(join(cluster.folder, LOG), 'utf8'));
  }
  throw new Error(`The private server does not start: ${output}`);
}

function startServer({ programs, account, folder }: Cluster, port: number): Promise<ProgramResult> {
  const args = ['start', '-w', '-t', String(limitSeconds), '-D', DATA, '-l', LOG, '-o', `-p ${port}`];
  return runProgram(programs.pgCtl, args, account, { cwd: folder });
}

function stopServer({ programs, account, folder }: Cluster, shutdown: Shutdown): Promise<ProgramResult> {
  const args = ['stop', '-w', '-t', String(limitSeconds), '-D', DATA, '-m', shutdown];
  return runProgram(programs.pgCtl, args, account, { cwd: folder });
}

async function isRunning({ programs, account, folder }: Cluster): Promise<boolean> {
  const { exitCode } = await runProgram(programs.pgCtl, ['status', '-D', DATA], account, { cwd: folder });
  return exitCode === 0;
}

function requireSuccess({ exitCode, output }: ProgramResult): void {
  if (exitCode !== 0) throw new Error(`pg_ctl failed: ${output}`);
}

/** Ends the server and removes the folder where the process that began with it is gone without having done so. */
function watchFolder(folder: string): () => void {
  return whenOrphaned(
    `if read -r pid < "$1/${DATA}/postmaster.pid"; then
      kill -QUIT "$pid"
      while kill -0 "$pid"; do sleep 0.1; done
    fi
    until rm -rf "$1"; do sleep 0.1; done`,
    [folder],
  );
}

/**
 * Has a shell run the script, with the arguments from `$1`, once this process is gone, however it went: a test runner
 * may kill its workers. The returned function calls that off.
 */
export function whenOrphaned(script: string, args: readonly string[]): () => void {
  const command = ['-c', `cat > /dev/null; ${script}`, 'sh', ...args];
  const watch = spawn('sh', command, { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  watch.unref();
  if (watch.stdin instanceof Socket) watch.stdin.unref(); // it ends with this process, and must not keep it
  watch.on('error', () => undefined); // without a shell nobody watches
  return () => {
    if (watch.pid !== undefined && watch.exitCode === null) process.kill(-watch.pid, 'SIGKILL');
  };
}

/** Any free port of the loopback address. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('a listening socket has no port');
  return address.port;
}
