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
  StoppedError,
} from '../core/errors.ts';
import { parseConnectionString } from './connection-string.ts';
import { findDatabaseFailure, findErrorCode, findMessage, isSessionLoss } from './database-failure.ts';
import { createDriver } from './driver.ts';
import { type HistoryTable, parseTableState, type TableState } from './history-table.ts';
import { holdsLockQuery, lockKey } from './lock.ts';
import { type Queryable, rawQuery, readDocument } from './query.ts';

/** The database: a connection string, or the caller's own slonik pool. */
export type DatabaseSource = string | DatabasePool;

/** How rows come back to alteration scripts. */
export interface RowOptions {
  readonly interceptors?: readonly Interceptor[];
  readonly typeParsers?: readonly DriverTypeParser[];
}

export interface SessionOptions {
  /** When aborted by a StoppedError, the connection is cut at once and that error is thrown. */
  readonly cutOn?: AbortSignal | undefined;
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
  /** Whether the role may write the history table, or create it where it belongs. */
  readonly mayKeepHistory: boolean;
  readonly readOnly: boolean;
  /** Reads the state of the history table again: after a wait it may be another. */
  readonly readTableState: () => Promise<TableState>;
  /** Brings the role back to the session's beginning, within a transaction that may have changed it. */
  readonly resetRole: (transaction: Queryable) => Promise<void>;
  /**
   * Brings settings, role, temporary objects and prepared statements back to the session's beginning.
   * False when the runner's lock is gone: a script has released it.
   */
  readonly reset: () => Promise<boolean>;
  /** Aborted when the connection ends under us; never for a pool with a driver of its own. */
  readonly lost: AbortSignal;
  /** While nothing is asked of the database, lets the process end: a script that waits for nothing must not hang. */
  readonly holdProcess: (hold: boolean) => void;
}

const connectTimeoutMs = 10_000;

/** Connects, calls `work` with one session and disconnects. Whatever ends the connection is told apart by class. */
export async function withSession<T>(
  source: DatabaseSource,
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  let client: pg.Client | undefined;
  const pool = await createSessionPool(source, options, (created) => {
    client = created;
  });
  pool.on('error', () => undefined); // without a listener the process would die; the query under way tells
  const cut = () => {
    if (client && options.cutOn?.reason instanceof StoppedError) socketOf(client)?.destroy();
  };
  options.cutOn?.addEventListener('abort', cut);
  try {
    return await onConnection(pool, () => client, options, work);
  } catch (error) {
    throw options.cutOn?.reason instanceof StoppedError ? options.cutOn.reason : error;
  } finally {
    options.cutOn?.removeEventListener('abort', cut);
    await pool.end();
  }
}

// slonik's defaults are made for web requests: they end statements and transactions, and run them again.
const patience = {
  statementTimeout: 'DISABLE_TIMEOUT',
  idleInTransactionSessionTimeout: 'DISABLE_TIMEOUT',
  idleTimeout: 'DISABLE_TIMEOUT',
  maximumConnectionAge: 'DISABLE_TIMEOUT',
  connectionRetryLimit: 0,
  queryRetryLimit: 0,
  transactionRetryLimit: 0,
  maxPoolSize: 1,
  minPoolSize: 0,
  resetConnection: async () => undefined,
} as const;

/** A pool of one connection; for a pool of the caller's one of the same configuration, save for the patience. */
async function createSessionPool(
  source: DatabaseSource,
  { applicationName, rows }: SessionOptions,
  onClient: (client: pg.Client) => void,
): Promise<DatabasePool> {
  const given = typeof source === 'string' ? undefined : source.configuration;
  if (given?.driverFactory) return createPool(given.connectionUri, { ...given, ...patience });
  const { ssl, password } = given ?? {};
  const config: pg.ClientConfig = {
    ...parseConnectionString(typeof source === 'string' ? source : source.configuration.connectionUri),
    ...(ssl ? { ssl } : {}),
    ...(password === undefined ? {} : { password }),
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
  };
  return createPool('postgres://', {
    ...patience,
    driverFactory: createDriver(config, onClient),
    interceptors: [...(given?.interceptors ?? rows?.interceptors ?? [])],
    typeParsers: [...(given?.typeParsers ?? rows?.typeParsers ?? createTypeParserPreset())],
  });
}

async function onConnection<T>(
  pool: DatabasePool,
  getClient: () => pg.Client | undefined,
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  let working: Promise<T> | undefined;
  try {
    return await pool.connect(async (connection) => {
      working = openSession(connection, getClient(), options).then(work);
      return working;
    });
  } catch (raised) {
    if (!working) throw describeConnectFailure(raised, addressOf(getClient()));
    // slonik rejects as soon as the connection reports an error; what the work says of it tells more.
    const error = await Promise.race([
      working.then(() => raised).catch((own: unknown) => own),
      giveUp(raised),
    ]);
    if (error instanceof AlterationError) throw error;
    throw isSessionLoss(raised) ? sessionLost(error) : (describeDenial(error) ?? error);
  }
}

interface Address {
  readonly host: string;
  readonly port: number;
}

/** Where a client connects to: node-postgres has filled in the defaults and the PG* variables. */
function addressOf(client: pg.Client | undefined): Address | undefined {
  return client && { host: client.host, port: client.port };
}

/** A privilege that the runner's own queries miss; what scripts miss is told as their failure. */
export function describeDenial(error: unknown): DatabaseRefusedError | undefined {
  const failure = findDatabaseFailure(error);
  if (failure?.sqlState !== '42501') return undefined;
  return new DatabaseRefusedError(
    `The role of this connection may not keep the history: ${failure.message}.`,
    {
      hint: 'Grant it what is missing: all on the history table, and create on its schema for the first deploy.',
      cause: error,
    },
  );
}

function giveUp<T>(value: T): Promise<T> {
  return pause(2_000, value, { ref: false });
}

async function openSession(
  connection: DatabasePoolConnection,
  client: pg.Client | undefined,
  options: SessionOptions,
): Promise<Session> {
  const facts = await readFacts(connection, options);
  const lost = new AbortController();
  client?.once('error', (error: Error) => lost.abort(error));
  client?.once('end', () => lost.abort(new Error('the server closed the connection')));
  const address = addressOf(client);
  const socket = client ? socketOf(client) : undefined;
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
    mayKeepHistory: facts.relation ? facts.relation.writable : facts.mayCreateHistory,
    readOnly: facts.readOnly,
    readTableState: () => readTableState(connection, options.historyTable),
    resetRole: (transaction) => applySettings(transaction, facts.kept, ['reset session authorization']),
    reset: async () => {
      await applySettings(connection, facts.kept, client ? [resets.join('; ')] : resets);
      return holdsLock(connection, options);
    },
    lost: lost.signal,
    holdProcess: (hold) => (hold ? socket?.ref() : socket?.unref()),
  };
}

interface Socket {
  ref(): unknown;
  unref(): unknown;
  destroy(): unknown;
}

function socketOf(client: pg.Client): Socket | undefined {
  const { connection } = client as unknown as { connection?: { stream?: Socket } }; // not in node-postgres's types
  return connection?.stream;
}

const settingSchema = z.object({ name: z.string(), value: z.string() });
type Setting = z.infer<typeof settingSchema>;

const factsSchema = z.object({
  database: z.string(),
  role: z.string(),
  serverVersion: z.string(),
  readOnly: z.boolean(),
  mayCreateHistory: z.boolean(),
  relation: z.object({ kind: z.string(), comment: z.string().nullable(), writable: z.boolean() }).nullable(),
  kept: z.array(settingSchema),
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
      select pg_catalog.json_build_object(
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
        'kept', (${keptQuery}),
        'settings', (${settingsQuery(applicationName)})
      )::text as document`,
    factsSchema,
  );
}

function relationQuery({ schema, table }: HistoryTable) {
  return sql.fragment`
    select pg_catalog.json_build_object('kind', c.relkind,
      'comment', pg_catalog.obj_description(c.oid, 'pg_class'),
      'writable', pg_catalog.has_table_privilege(c.oid, 'insert') and pg_catalog.has_table_privilege(c.oid, 'update')
        and pg_catalog.has_table_privilege(c.oid, 'delete'))
    from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relname = ${table}`;
}

/** Sets what this PostgreSQL knows of our settings, for the session; not every system can look for lost clients. */
function settingsQuery(applicationName: string) {
  return sql.fragment`
    select pg_catalog.count(pg_catalog.set_config(s.name, s.value, false))
    from (values ('application_name', ${applicationName}), ('statement_timeout', '0'),
      ('idle_in_transaction_session_timeout', '0'), ('idle_session_timeout', '0'), ('transaction_timeout', '0'),
      ('client_connection_check_interval', '1s')) as s (name, value)
    where s.name in (select name from pg_catalog.pg_settings)
      and (s.name <> 'client_connection_check_interval' or pg_catalog.version() !~* 'windows|mingw|visual c|msvc|apple|darwin')`;
}

async function readTableState(connection: DatabasePoolConnection, table: HistoryTable): Promise<TableState> {
  const query = sql.unsafe`select (select pg_catalog.json_build_object('relation', (${relationQuery(table)})))::text as document`;
  const { relation } = await readDocument(connection, query, factsSchema.pick({ relation: true }));
  return parseTableState(relation);
}

/** What the session has that is not its login's: an interceptor may have set it on connecting. */
const keptQuery = sql.fragment`
  select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('name', k.name, 'value', k.value)), '[]')
  from (
    select name, pg_catalog.current_setting(name) as value from pg_catalog.pg_settings
    where source = 'session' and context in ('user', 'superuser') and name not like 'transaction%'
    union all
    select 'role', pg_catalog.current_setting('role') where pg_catalog.current_setting('role') <> 'none'
  ) as k`;

const resets = [
  'reset session authorization', // the role too
  'reset all',
  'close all',
  'unlisten *',
  'deallocate all',
  'discard temp',
];

/** Undoes what a script may have left in the session and sets again what it began with; our advisory lock stays. */
async function applySettings(connection: Queryable, kept: readonly Setting[], statements: readonly string[]) {
  // Our own driver sends several statements in one message; another may refuse that.
  for (const text of statements) await connection.query(rawQuery(text));
  if (kept.length === 0) return;
  await connection.query(sql.unsafe`
    select pg_catalog.count(pg_catalog.set_config(s.name, s.value, false))
    from pg_catalog.jsonb_to_recordset(${JSON.stringify(kept)}::jsonb) as s (name text, value text)`);
}

/** Sets our settings again, and tells whether the lock is still ours. */
async function holdsLock(
  connection: Queryable,
  { applicationName, historyTable }: SessionOptions,
): Promise<boolean> {
  const query = sql.unsafe`
    select pg_catalog.json_build_object('settings', (${settingsQuery(applicationName)}),
      'held', (${holdsLockQuery(lockKey(historyTable))}))::text as document`;
  return (await readDocument(connection, query, z.object({ held: z.boolean() }))).held;
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
