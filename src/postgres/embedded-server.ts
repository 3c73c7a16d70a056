// A real PostgreSQL, installed by npm, that runs in a folder for the time of a command.
// It has no owner: each user holds a shared advisory lock on it, and the last one to leave stops it.

import { once } from 'node:events';
import { readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, DatabaseError } from 'pg';
import { DatabaseRefusedError, DatabaseUnreachableError } from '../core/errors.ts';
import {
  type Cluster,
  type ClusterOptions,
  DATA,
  errorCode,
  LOG,
  lastLines,
  openCluster,
  PASSWORD,
  readOptional,
} from './embedded-cluster.ts';
import { runProgram } from './embedded-programs.ts';

const SERVER_FILE = 'postmaster.pid';
const USERS_LOCK_KEY = '7308604759966544';
// A session that only waits must not be ended for that. The setting is new in PostgreSQL 14.
const JOIN = `
  select pg_try_advisory_lock_shared(${USERS_LOCK_KEY}) as joined,
    (select set_config(name, '0', false) from pg_settings where name = 'idle_session_timeout')`;
// Classes of SQLSTATE: operator intervention (starting up, shutting down) and insufficient resources
// (too many connections); invalid authorization and invalid catalog name.
const BUSY: ReadonlySet<string> = new Set(['57', '53']);
const REFUSED: ReadonlySet<string> = new Set(['28', '3D']);
const POLL_MS = 10;
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 60_000;
const STALE_AFTER_MS = 2_000;
const START_ATTEMPTS = 3;

export interface EmbeddedServer {
  /** `postgres://postgres:<password>@127.0.0.1:<port>/postgres` */
  readonly connectionString: string;
}

/** What `postmaster.pid` says. */
interface ServerFile {
  /** Process, folder and start time: another server has another one. */
  readonly identity: string;
  readonly port: number | undefined;
  readonly ready: boolean;
}

/**
 * `silent`: nothing listens. `unclear`: something does, and does not speak as a server.
 * `busy`: a server that starts, stops or is full.
 */
type Answer = Client | 'silent' | 'unclear' | 'busy';

/** How far this command is with starting a server. */
interface Start {
  state: 'idle' | 'starting' | 'started';
  /** Of the server that was started last. */
  port: number | undefined;
  /** Settles when the last attempt is decided. */
  attempt: Promise<void> | undefined;
  failures: number;
  /** What pg_ctl itself said when it last failed. */
  output: string;
  /** Since when (epoch, ms) nothing has listened where `postmaster.pid` says. */
  silence: { readonly identity: string; readonly since: number } | undefined;
  /** Ends pg_ctl, which looks for its server every 100 ms only and is not needed once that is found. */
  readonly found: AbortController;
}

/** One user of a server. */
interface Visit {
  readonly session: Client;
  readonly start: Start;
}

/**
 * Starts (or joins) the server of `folder`, an absolute path, calls `work`, and stops the server when nobody
 * else uses it. A new folder gets a new cluster, whose password is in the file `password`.
 * Throws ConfigurationError when there is nothing to start, DatabaseUnreachableError when it does not start,
 * and what `work` throws.
 */
export async function withEmbeddedServer<T>(
  folder: string,
  work: (server: EmbeddedServer) => Promise<T>,
  options: ClusterOptions = {},
): Promise<T> {
  options.signal?.throwIfAborted();
  const cluster = await openCluster(folder, options);
  const visit = await joinServer(cluster);
  try {
    options.signal?.throwIfAborted();
    const address = `127.0.0.1:${visit.session.port}`;
    // The work alone decides how long the process lives: a session that only waits must not keep it up.
    holdProcess(visit.session, 'release');
    return await work({ connectionString: `postgres://postgres:${cluster.password}@${address}/postgres` });
  } finally {
    holdProcess(visit.session, 'hold');
    await leaveServer(cluster, visit);
  }
}

function holdProcess(session: Client, mode: 'hold' | 'release'): void {
  const { ref, unref } = session as unknown as Record<'ref' | 'unref', () => void>; // missing in node-postgres's types
  (mode === 'hold' ? ref : unref).call(session);
}

/** Becomes a user of the server, which is started unless it runs. */
async function joinServer(cluster: Cluster): Promise<Visit> {
  const start: Start = {
    state: 'idle',
    port: undefined,
    attempt: undefined,
    failures: 0,
    output: '',
    silence: undefined,
    found: new AbortController(),
  };
  try {
    const session = await pollServer(cluster, start);
    if (session.port === start.port) start.found.abort();
    return { session, start };
  } catch (error) {
    // Its only user would have been the one that failed here.
    const file = await readServerFile(cluster);
    if (file !== undefined && file.port === start.port) await stopServer(cluster).catch(() => undefined);
    throw error;
  }
}

async function pollServer(cluster: Cluster, start: Start): Promise<Client> {
  const began = Date.now();
  while (Date.now() - began < START_LIMIT_MS) {
    const file = await readServerFile(cluster);
    const answer = start.state === 'starting' && !file?.ready ? 'busy' : await knock(cluster, file);
    if (answer instanceof Client) return answer;
    if (answer !== 'silent') start.silence = undefined;
    if (start.state !== 'starting') {
      // Not while one is starting: it cannot be stopped yet.
      cluster.signal?.throwIfAborted();
      if (answer !== 'busy') await advance(cluster, start, file, answer);
    }
    await pause(began);
  }
  throw await startFailed(cluster, start);
}

/** Asks the server that `postmaster.pid` names to count this command as a user. */
async function knock(cluster: Cluster, file: ServerFile | undefined): Promise<Answer> {
  if (file?.port === undefined) return 'silent';
  const client = newClient(cluster, file.port);
  // A session that breaks is noticed when it is used; unheard, the event would end the process.
  client.on('error', () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ joined: boolean }>(JOIN);
    if (rows[0]?.joined) return client;
  } catch (error) {
    client.end().catch(() => undefined);
    return readRefusal(cluster, error);
  }
  await client.end().catch(() => undefined);
  return 'busy'; // its last user is stopping it
}

function newClient({ password }: Cluster, port: number): Client {
  return new Client({
    host: '127.0.0.1',
    port,
    user: 'postgres',
    password,
    database: 'postgres',
    ssl: false,
    application_name: 'alteration embedded server',
    connectionTimeoutMillis: 5_000,
  });
}

function readRefusal({ folder }: Cluster, error: unknown): Answer {
  if (!(error instanceof DatabaseError)) return errorCode(error) === 'ECONNREFUSED' ? 'silent' : 'unclear';
  const kind = error.code?.slice(0, 2) ?? '';
  if (!REFUSED.has(kind)) return BUSY.has(kind) ? 'busy' : 'unclear';
  throw new DatabaseRefusedError(
    `The embedded server of "${folder}" refuses the user "postgres": ${error.message}.`,
    {
      hint: `Put the user's password into "${join(folder, PASSWORD)}", or remove the folder to begin anew.`,
      cause: error,
    },
  );
}

/** Nobody answers: starts a server, or finds out why PostgreSQL will not. */
async function advance(
  cluster: Cluster,
  start: Start,
  file: ServerFile | undefined,
  answer: Answer,
): Promise<void> {
  if (start.failures >= START_ATTEMPTS) throw await startFailed(cluster, start);
  if (start.failures > 0 && file !== undefined && answer === 'silent') {
    // PostgreSQL takes the process of that file for a server, and it is none: the id has been given to another.
    // Should it be one after all, its shared memory still keeps a second one out.
    if (!hasBeenSilent(start, file)) return;
    await rm(join(cluster.folder, DATA, SERVER_FILE), { force: true });
  }
  await startServer(cluster, start);
}

function hasBeenSilent(start: Start, { identity }: ServerFile): boolean {
  if (start.silence?.identity !== identity) start.silence = { identity, since: Date.now() };
  return Date.now() - start.silence.since >= STALE_AFTER_MS;
}

/** Has pg_ctl start a server on a free port; the port may be taken before that, hence the attempts. */
async function startServer({ folder, programs, account, onProgress }: Cluster, start: Start): Promise<void> {
  if (start.failures === 0) onProgress?.(`Starting the PostgreSQL ${programs.major} server of "${folder}".`);
  const port = await findFreePort();
  const settings = `-p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c shared_buffers=32MB`;
  const limit = String(START_LIMIT_MS / 1000);
  const args = ['start', '-w', '-t', limit, '-D', DATA, '-l', LOG, '-o', settings];
  start.state = 'starting';
  start.port = port;
  start.attempt = runProgram(programs.pgCtl, args, account, {
    cwd: folder,
    signal: start.found.signal,
  }).then(
    ({ exitCode, output }) => noteStart(start, exitCode === 0 ? undefined : output),
    (error: Error) => noteStart(start, error.message),
  );
}

function noteStart(start: Start, failure: string | undefined): void {
  start.state = failure === undefined ? 'started' : 'idle';
  if (failure === undefined) return;
  start.failures += 1;
  start.output = failure;
}

async function startFailed({ folder, logStart }: Cluster, start: Start): Promise<DatabaseUnreachableError> {
  const log = join(folder, LOG);
  const lines = (await readFile(log).catch(() => Buffer.of())).subarray(logStart).toString();
  return new DatabaseUnreachableError(`The embedded server of "${folder}" does not start.`, {
    hint: `See the end of "${log}".`,
    problems: lastLines(lines.trim() === '' ? start.output : lines),
  });
}

/** Never fails: what the work did, or the error it threw, counts for more than a server that stays. */
async function leaveServer(cluster: Cluster, { session, start }: Visit): Promise<void> {
  try {
    // An attempt that lost against another command's must be over, or it could win once that server is stopped.
    await start.attempt;
    const current = await renewSession(cluster, session);
    if (current !== undefined) await leave(cluster, current);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    cluster.onProgress?.(`The embedded server of "${cluster.folder}" may still run: ${reason}`);
  }
}

/** The session, or another one where it was lost; none where the server was lost too. */
async function renewSession(cluster: Cluster, session: Client): Promise<Client | undefined> {
  const alive = await session.query('select').then(
    () => true,
    () => false,
  );
  if (alive) return session;
  const answer = await knock(cluster, await readServerFile(cluster));
  return answer instanceof Client ? answer : undefined;
}

async function leave(cluster: Cluster, session: Client): Promise<void> {
  try {
    if (await isLastUser(session)) await stopServer(cluster);
  } finally {
    await session.end().catch(() => undefined);
  }
}

/** The exclusive lock is kept until the server is gone, so that nobody joins what is about to stop. */
async function isLastUser(session: Client): Promise<boolean> {
  // Let go first: of two that leave at once, each would keep the other from being the last.
  await session.query(`select pg_advisory_unlock_shared(${USERS_LOCK_KEY})`);
  const { rows } = await session.query<{ last: boolean }>(
    `select pg_try_advisory_lock(${USERS_LOCK_KEY}) as last`,
  );
  return rows[0]?.last === true;
}

async function stopServer(cluster: Cluster): Promise<void> {
  const { folder, programs, account } = cluster;
  const identity = (await readServerFile(cluster))?.identity;
  const result = await runProgram(programs.pgCtl, ['stop', '-W', '-m', 'fast', '-D', DATA], account, {
    cwd: folder,
  });
  if (result.exitCode !== 0) throw new DatabaseUnreachableError(result.output.trim());
  await awaitEnd(cluster, identity);
}

async function awaitEnd(cluster: Cluster, identity: string | undefined): Promise<void> {
  const began = Date.now();
  for (;;) {
    const file = await readServerFile(cluster);
    if (file?.identity !== identity) return;
    const waited = Date.now() - began;
    if (waited > STOP_LIMIT_MS) throw new DatabaseUnreachableError('It has not stopped in time.');
    // A server that was killed leaves its file behind.
    const answer = waited > STALE_AFTER_MS ? await knock(cluster, file) : 'busy';
    if (answer instanceof Client) await answer.end();
    if (answer === 'silent') return;
    await pause(began);
  }
}

/** Sleeps a tenth of the time since `began`: what is quick is noticed at once, what is slow is not pestered. */
async function pause(began: number): Promise<void> {
  await sleep(Math.max(POLL_MS, (Date.now() - began) / 10));
}

async function readServerFile({ folder }: Cluster): Promise<ServerFile | undefined> {
  const text = await readOptional(join(folder, DATA, SERVER_FILE));
  if (text === undefined) return undefined;
  const lines = text.split(/\r?\n/);
  const port = Number.parseInt(lines[3] ?? '', 10);
  return {
    identity: lines.slice(0, 3).join('\n'),
    port: Number.isNaN(port) ? undefined : port,
    ready: lines[7]?.trim() === 'ready',
  };
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}
