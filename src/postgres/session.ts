import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import {
  createPool,
  createTypeParserPreset,
  type DatabasePool,
  type DatabasePoolConnection,
  type DatabaseTransactionConnection,
  type DriverTypeParser,
  type Interceptor,
  sql,
} from 'slonik';
import { z } from 'zod';
import {
  AlterationError,
  DatabaseRefusedError,
  DatabaseUnreachableError,
  SessionLostError,
} from '../core/errors.ts';
import { type Address, describeAddress, parseConnectionString } from './connection-string.ts';
import { findErrorCode, findMessage, isSessionLoss } from './database-failure.ts';
import { createDriver } from './driver.ts';
import { type HistoryTable, parseTableState, type TableState } from './history-table.ts';
import { rawQuery, readDocument } from './query.ts';

/** The database: a connection string, or the caller's own slonik pool. */
export type DatabaseSource = string | DatabasePool;

/** How rows come back to alteration scripts. */
export interface RowOptions {
  readonly interceptors?: readonly Interceptor[];
  readonly typeParsers?: readonly DriverTypeParser[];
}

export interface SessionOptions {
  /** Shown in pg_stat_activity, cut to PostgreSQL's 63 bytes. */
  readonly applicationName: string;
  readonly historyTable: HistoryTable;
  readonly rows?: RowOptions | undefined;
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
}

/** One database session: the lock, the history and the scripts share it. */
export interface Session {
  readonly connection: DatabasePoolConnection;
  /** A transaction that is run once: slonik would run it again after a deadlock, side effects and all. */
  readonly transaction: <T>(work: (transaction: DatabaseTransactionConnection) => Promise<T>) => Promise<T>;
  readonly database: DatabaseFacts;
  /** What the catalog said of the history table when the session began. */
  readonly tableState: TableState;
  /** Whether the role may create the history table where it belongs. */
  readonly mayCreateHistory: boolean;
  readonly readOnly: boolean;
  /** Reads the state of the history table again: after a wait it may be another. */
  readonly readTableState: () => Promise<TableState>;
  /** Brings settings, role, temporary objects and prepared statements back to the session's beginning. */
  readonly reset: () => Promise<void>;
  /** Aborted when the connection ends under us; never for the caller's own pool. */
  readonly lost: AbortSignal;
  /** While nothing is asked of the database, lets the process end: a script that waits for nothing must not hang. */
  readonly holdProcess: (hold: boolean) => void;
  /** Cuts the connection at once: the server rolls back what is under way. */
  readonly cut: () => void;
}

const connectTimeoutMs = 10_000;

/** Connects, calls `work` with one session and disconnects. Whatever ends the connection is told apart by class. */
export async function withSession<T>(
  source: DatabaseSource,
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  if (typeof source !== 'string') return onConnection(source, undefined, undefined, options, work);
  const config = parseConnectionString(source);
  const address = describeAddress(config);
  let client: pg.Client | undefined;
  const pool = await createPool('postgres://', {
    driverFactory: createDriver(
      { ...config, application_name: options.applicationName, connectionTimeoutMillis: connectTimeoutMs },
      (created) => {
        client = created;
      },
    ),
    // slonik's defaults are made for web requests: they end statements and transactions, and run them again.
    statementTimeout: 'DISABLE_TIMEOUT',
    idleInTransactionSessionTimeout: 'DISABLE_TIMEOUT',
    idleTimeout: 'DISABLE_TIMEOUT',
    maximumConnectionAge: 'DISABLE_TIMEOUT',
    connectionRetryLimit: 0,
    queryRetryLimit: 0,
    transactionRetryLimit: 0,
    maxPoolSize: 1,
    resetConnection: async () => undefined,
    interceptors: [...(options.rows?.interceptors ?? [])],
    typeParsers: [...(options.rows?.typeParsers ?? createTypeParserPreset())],
  });
  pool.on('error', () => undefined); // without a listener the process would die; the query under way tells
  try {
    return await onConnection(pool, () => client, address, options, work);
  } finally {
    await pool.end();
  }
}

async function onConnection<T>(
  pool: DatabasePool,
  getClient: (() => pg.Client | undefined) | undefined,
  address: Address | undefined,
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  let working: Promise<T> | undefined;
  try {
    return await pool.connect(async (connection) => {
      working = openSession(connection, getClient?.(), address, options).then(work);
      const result = await working;
      if (!getClient) await connection.query(rawQuery('reset all')); // the caller's pool goes on with this connection
      return result;
    });
  } catch (raised) {
    if (!working) throw describeConnectFailure(raised, address);
    // slonik rejects as soon as the connection reports an error; what the work says of it tells more.
    const error = await Promise.race([
      working.then(() => raised).catch((own: unknown) => own),
      giveUp(raised),
    ]);
    throw error instanceof AlterationError || !isSessionLoss(raised) ? error : sessionLost(error);
  }
}

function giveUp<T>(value: T): Promise<T> {
  return pause(2_000, value, { ref: false });
}

async function openSession(
  connection: DatabasePoolConnection,
  client: pg.Client | undefined,
  address: Address | undefined,
  options: SessionOptions,
): Promise<Session> {
  const facts = await readFacts(connection, options);
  const lost = new AbortController();
  client?.once('error', (error: Error) => lost.abort(error));
  client?.once('end', () => lost.abort(new Error('the server closed the connection')));
  const socket = client ? streamOf(client) : undefined;
  return {
    connection,
    transaction: (work) => connection.transaction(work, 0),
    database: {
      ...(address ? { host: address.host, port: address.port } : {}),
      database: facts.database,
      role: facts.role,
      serverVersion: facts.serverVersion,
    },
    tableState: parseTableState(facts.relation),
    mayCreateHistory: facts.mayCreateHistory,
    readOnly: facts.readOnly,
    readTableState: () => readTableState(connection, options.historyTable),
    reset: () => resetSession(connection, client !== undefined, options.applicationName),
    lost: lost.signal,
    holdProcess: (hold) => (hold ? socket?.ref() : socket?.unref()),
    cut: () => socket?.destroy(),
  };
}

interface Socket {
  ref(): unknown;
  unref(): unknown;
  destroy(): unknown;
}

function streamOf(client: pg.Client): Socket | undefined {
  const { connection } = client as unknown as { connection?: { stream?: Socket } }; // not in node-postgres's types
  return connection?.stream;
}

const factsSchema = z.object({
  database: z.string(),
  role: z.string(),
  serverVersion: z.string(),
  readOnly: z.boolean(),
  mayCreateHistory: z.boolean(),
  relation: z.object({ kind: z.string(), comment: z.string().nullable() }).nullable(),
});

/** One round trip: tells what this is, and makes the session fit for long work. */
async function readFacts(
  connection: DatabasePoolConnection,
  { historyTable, applicationName }: SessionOptions,
) {
  const { schema } = historyTable;
  return readDocument(
    connection,
    sql.unsafe`
      select json_build_object(
        'database', pg_catalog.current_database(),
        'role', current_user,
        'serverVersion', pg_catalog.current_setting('server_version'),
        'readOnly', pg_catalog.current_setting('transaction_read_only') = 'on',
        'mayCreateHistory', case
          when pg_catalog.to_regnamespace(pg_catalog.quote_ident(${schema})) is null
          then pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')
          else pg_catalog.has_schema_privilege(pg_catalog.to_regnamespace(pg_catalog.quote_ident(${schema})), 'create')
        end,
        'relation', (${relationQuery(historyTable)}),
        'settings', (${settingsQuery(applicationName)})
      )::text as document`,
    factsSchema,
  );
}

function relationQuery({ schema, table }: HistoryTable) {
  return sql.fragment`
    select json_build_object('kind', c.relkind, 'comment', pg_catalog.obj_description(c.oid, 'pg_class'))
    from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relname = ${table}`;
}

/** Sets what this PostgreSQL knows of our settings, for the session. */
function settingsQuery(applicationName: string) {
  return sql.fragment`
    select count(pg_catalog.set_config(s.name, s.value, false))
    from (values ('application_name', ${applicationName}), ('statement_timeout', '0'),
      ('idle_in_transaction_session_timeout', '0'), ('transaction_timeout', '0'),
      ('client_connection_check_interval', '1s')) as s (name, value)
    where s.name in (select name from pg_catalog.pg_settings)`;
}

async function readTableState(connection: DatabasePoolConnection, table: HistoryTable): Promise<TableState> {
  const query = sql.unsafe`select (select json_build_object('relation', (${relationQuery(table)})))::text as document`;
  const { relation } = await readDocument(connection, query, factsSchema.pick({ relation: true }));
  return parseTableState(relation);
}

/** Undoes what a script may have left in the session; our advisory lock stays. */
async function resetSession(connection: DatabasePoolConnection, own: boolean, applicationName: string) {
  const statements = [
    'reset session authorization', // the role too
    'reset all',
    'close all',
    'unlisten *',
    'deallocate all',
    'discard temp',
  ];
  // Our own driver sends them in one message; the caller's may refuse several statements in one.
  for (const text of own ? [statements.join('; ')] : statements) await connection.query(rawQuery(text));
  await connection.query(sql.unsafe`select (${settingsQuery(applicationName)})`);
}

function sessionLost(error: unknown): SessionLostError {
  return new SessionLostError(`The database session was lost: ${findMessage(error)}.`, {
    hint: 'What was under way is rolled back by PostgreSQL. Run it again: it goes on from what is applied.',
    cause: error,
  });
}

const unreachableCodes =
  /^(?:ECONN|EHOST|ENET|ENOTFOUND$|EAI_|ETIMEDOUT$|EPIPE$|ENOENT$|EACCES$|57P0[1-5]$|53300$|08)/;

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name cannot be looked up',
  ETIMEDOUT: 'it does not answer',
};

function describeConnectFailure(error: unknown, address: Address | undefined): unknown {
  if (error instanceof AlterationError) return error;
  const code = findErrorCode(error) ?? '';
  const message = findMessage(error).replace(/\.$/, '');
  const where = address ? `${address.host}:${address.port}` : 'the given pool';
  const timedOut = /timeout|terminated/i.test(message);
  if (unreachableCodes.test(code) || (code === '' && timedOut)) {
    const reason = reasons[code] ? `${reasons[code]} (${code})` : message;
    return new DatabaseUnreachableError(`The database at ${where} cannot be reached: ${reason}.`, {
      hint: 'Nothing was changed. Is the server running, and are host and port right?',
      cause: error,
    });
  }
  return new DatabaseRefusedError(`The database at ${where} refuses the connection: ${message}.`, {
    hint: 'Nothing was changed. Check user, password, database and TLS settings of the database URL.',
    cause: error,
  });
}
