import type pg from 'pg';
import { renderDuration } from '../core/duration.ts';
import {
  AlterationError,
  DatabaseRefusedError,
  DatabaseUnreachableError,
  SessionLostError,
  StoppedError,
} from '../core/errors.ts';
import { now } from '../now.ts';
import {
  addressOf,
  type Connector,
  createConnector,
  type DatabaseSource,
  describeConnectFailure,
  longestConnectMs,
  type RowOptions,
} from './connect.ts';
import type { Connection } from './connection.ts';
import { describeDenial, findErrorCode, findMessage, isSessionLoss } from './database-failure.ts';
import { type HistoryTable, parseTableState, type TableState } from './history-table.ts';
import type { Queryable } from './query.ts';
import {
  type Holding,
  readSessionFacts,
  readTableState,
  type SessionFacts,
  type SessionSettings,
} from './session-facts.ts';
import { socketOf } from './socket.ts';
import { pauseUnlessStopped, type Stage, type StopSignals, watchSignals } from './stop-signals.ts';
import { waitAtMost } from './wait-at-most.ts';

/** What stands between the runner and the server, as far as sessions go. */
export type Pooler = 'transaction' | 'none';

export interface SessionOptions extends SessionSettings, StopSignals {
  readonly historyTable: HistoryTable;
  readonly rows?: RowOptions | undefined;
  /** `auto`: found out. `none`: the server itself, or a pooler that keeps a session together. */
  readonly pooler: Pooler | 'auto';
  /** How long to try while the database is not reachable or not ready, in milliseconds. */
  readonly connectWaitMs: number;
  readonly onConnectWait?: (wait: ConnectWait) => void;
}

/** Told at the first pause of the wait for a database, then every few seconds. */
export interface ConnectWait {
  /** A sentence. */
  readonly reason: string;
  readonly waitedMs: number;
}

/** What the session is connected to. */
export interface DatabaseFacts {
  /** Absent for the caller's own pool. */
  readonly host?: string;
  readonly port?: number;
  readonly database: string;
  readonly role: string;
  /** Such as `18.4`. */
  readonly serverVersion: string;
  readonly pooler: Pooler;
}

/** One database session: the lock, the history and the scripts share it. */
export interface Session {
  readonly connection: Connection;
  readonly database: DatabaseFacts;
  /** Of the server process; behind a pooler of the one that answered first. */
  readonly backendPid: number;
  /** What the catalog said of the history table when the session began. */
  readonly tableState: TableState;
  /** Whether the role may write the history table, or create it where it belongs. */
  readonly mayKeepHistory: boolean;
  /** Whether the role may look whether the lock is held. */
  readonly mayReadLocks: boolean;
  readonly readOnly: boolean;
  /** Reads the state of the history table again: after a wait it may be another. */
  readonly readTableState: (connection: Queryable) => Promise<TableState>;
  /** Another connection to the same database, for one query at a time; the caller ends it. */
  readonly openSideConnection: () => Promise<SideConnection>;
  /** Aborted when the connection ends under us; never for a pool with a driver of its own. */
  readonly lost: AbortSignal;
  /** While nothing is asked of the database, lets the process end: a script that waits for nothing must not hang. */
  readonly holdProcess: (hold: boolean) => void;
}

/** A second connection, which may be used while the session is in a transaction. */
export interface SideConnection extends Queryable {
  readonly end: () => Promise<void>;
}

const oldestVersion = 13;
const reportEveryMs = 5_000;
const goodByeMs = 2_000;

/**
 * Connects, calls `work` with one session and disconnects. While the database cannot be reached it tries again.
 * Whatever ends the connection is told apart by class.
 */
export async function withSession<T>(
  source: DatabaseSource,
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const start = now();
  let reportAtMs = 0;
  for (let attempts = 1; ; attempts++) {
    const leftMs = options.connectWaitMs - (now() - start);
    const connectTimeoutMs = Math.ceil(leftMs > 0 ? Math.min(longestConnectMs, leftMs) : longestConnectMs);
    const outcome = await attemptSession(source, options, connectTimeoutMs, work);
    if ('result' in outcome) return outcome.result;
    const waitedMs = now() - start;
    const restMs = options.connectWaitMs - waitedMs;
    if (restMs <= 0) throw attempts > 1 ? triedFor(waitedMs, outcome.unreachable) : outcome.unreachable;
    if (waitedMs >= reportAtMs) {
      options.onConnectWait?.({ reason: outcome.unreachable.message, waitedMs });
      reportAtMs = waitedMs + reportEveryMs;
    }
    await pauseUnlessStopped(Math.min(100 * 1.5 ** attempts, 1_000, restMs), options);
  }
}

function triedFor(waitedMs: number, { message, hint, cause }: DatabaseUnreachableError): Error {
  const tried = `Tried for ${renderDuration(waitedMs)}.`;
  return new DatabaseUnreachableError(message, { hint: `${tried} ${hint}`, cause });
}

type Attempt<T> = { readonly result: T } | { readonly unreachable: DatabaseUnreachableError };

async function attemptSession<T>(
  source: DatabaseSource,
  options: SessionOptions,
  connectTimeoutMs: number,
  work: (session: Session) => Promise<T>,
): Promise<Attempt<T>> {
  const connector = await createConnector(source, { ...options, connectTimeoutMs });
  let stage: Stage = 'connecting';
  const interruption = watchSignals(options, { client: connector.client, stage: () => stage });
  const begin = (session: Session) => {
    interruption.throwIfStopped();
    stage = 'working';
    return work(session);
  };
  try {
    interruption.throwIfStopped();
    const side = () => openSideConnection(source, options);
    return { result: await onConnection(connector, side, options, begin) };
  } catch (error) {
    if (!(error instanceof StoppedError)) interruption.throwIfStopped();
    if (stage === 'connecting' && error instanceof DatabaseUnreachableError) return { unreachable: error };
    throw error;
  } finally {
    stage = 'over';
    await interruption.release();
    await connector.end();
  }
}

async function openSideConnection(
  source: DatabaseSource,
  { applicationName, keepaliveMs }: SessionOptions,
): Promise<SideConnection> {
  const side = { applicationName: `${applicationName} (side)`, keepaliveMs };
  const connector = await createConnector(source, side);
  const opened = Promise.withResolvers<Connection>();
  const ended = Promise.withResolvers<void>();
  const over = connector.connect((connection) => {
    opened.resolve(connection);
    return ended.promise;
  });
  over.catch(opened.reject);
  const socket = () => connector.client && socketOf(connector.client);
  const connection = await opened.promise.catch(async (error: unknown) => {
    await connector.end();
    throw error;
  });
  socket()?.unref(); // idle, it must not keep a process that waits for nothing
  return {
    query: async (query) => {
      socket()?.ref();
      try {
        return await connection.query(query);
      } finally {
        socket()?.unref();
      }
    },
    end: async () => {
      ended.resolve();
      await connector.end();
    },
  };
}

async function onConnection<T>(
  connector: Connector,
  openSide: Session['openSideConnection'],
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const { client } = connector;
  let working: Promise<T> | undefined;
  try {
    return await connector.connect(async (connection) => {
      working = openSession(connection, client, openSide, options).then(work);
      return working;
    });
  } catch (raised) {
    if (!working) throw describeConnectFailure(raised, addressOf(client));
    // slonik rejects as soon as the connection reports an error; what the work says of it tells more.
    const own = working.then(() => raised).catch((cause: unknown) => cause);
    const error = (await waitAtMost(own, goodByeMs)) ?? raised;
    if (error instanceof AlterationError) throw error;
    throw isSessionLoss(raised) || isSessionLoss(error)
      ? sessionLost(error)
      : (describeDenial(error) ?? error);
  }
}

async function openSession(
  connection: Connection,
  client: pg.Client | undefined,
  openSide: Session['openSideConnection'],
  options: SessionOptions,
): Promise<Session> {
  const lost = watchConnection(client);
  const facts = await readFirstFacts(connection, client, options);
  const database = describeDatabase(facts, client, options);
  const { historyTable } = options;
  const socket = client && socketOf(client);
  return {
    connection,
    database,
    backendPid: facts.backendPid,
    tableState: parseTableState(facts.relation),
    mayKeepHistory: facts.relation ? facts.relation.writable : facts.mayCreateHistory,
    mayReadLocks: facts.mayReadLocks,
    readOnly: facts.readOnly,
    readTableState: (queryable) => readTableState(queryable, historyTable),
    openSideConnection: openSide,
    lost,
    holdProcess: (hold) => (hold ? socket?.ref() : socket?.unref()),
  };
}

function watchConnection(client: pg.Client | undefined): AbortSignal {
  const lost = new AbortController();
  client?.once('error', (error: Error) => lost.abort(error));
  client?.once('end', () => lost.abort(new Error('the server closed the connection')));
  return lost.signal;
}

/** A server that goes away before it has said who it is was not ready. */
async function readFirstFacts(
  connection: Connection,
  client: pg.Client | undefined,
  options: SessionOptions,
): Promise<SessionFacts> {
  try {
    return await readSessionFacts(connection, options.historyTable, options, holdingOf(client, options));
  } catch (error) {
    const unready = isSessionLoss(error) || /^(?:08|57P0[123])/.test(findErrorCode(error) ?? '');
    throw unready ? describeConnectFailure(error, addressOf(client)) : error;
  }
}

function holdingOf(client: pg.Client | undefined, { pooler }: SessionOptions): Holding {
  if (pooler !== 'auto') return pooler === 'none' ? 'always' : 'never';
  const pid = client && announcedPid(client);
  return pid === undefined ? 'always' : { whenBackendIs: pid };
}

/** The process that the server announced on connecting; a pooler announces one of its own making. */
function announcedPid(client: pg.Client): number | undefined {
  const { processID } = client as unknown as { processID?: number | null }; // not in node-postgres's types
  return processID ?? undefined;
}

function describeDatabase(
  facts: SessionFacts,
  client: pg.Client | undefined,
  { pooler }: SessionOptions,
): DatabaseFacts {
  const { backendPid, database, role, serverVersion, serverVersionNumber } = facts;
  const address = addressOf(client);
  if (serverVersionNumber < oldestVersion * 10_000) {
    const where = address ? ` at ${address.host}:${address.port}` : '';
    throw new DatabaseRefusedError(
      `The database${where} is PostgreSQL ${serverVersion}; ${oldestVersion} is the oldest that is supported.`,
      { hint: 'Nothing was changed. Upgrade the server first.' },
    );
  }
  const announced = client && announcedPid(client);
  const found = announced === undefined || announced === backendPid ? 'none' : 'transaction';
  return {
    ...(address ?? {}),
    database,
    role,
    serverVersion,
    pooler: pooler === 'auto' ? found : pooler,
  };
}

function sessionLost(error: unknown): SessionLostError {
  const reason = findMessage(error).replace(/\.$/, '');
  return new SessionLostError(`The database session was lost: ${reason}.`, {
    hint: 'A transaction under way is rolled back by PostgreSQL, unless its commit had arrived. Run it again: it goes on from what is applied.',
    cause: error,
  });
}
