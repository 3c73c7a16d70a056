import type pg from 'pg';
import type { DatabasePool, DriverTypeParser, Interceptor } from 'slonik';
import { AlterationError, DatabaseRefusedError, DatabaseUnreachableError } from '../core/errors.ts';
import { type Connection, openConnection, type ScriptAccess } from './connection.ts';
import { parseConnectionString } from './connection-string.ts';
import { findErrorCode, findMessage } from './database-failure.ts';
import { createLink, type Link } from './link.ts';
import type { AttachedSlonik } from './slonik.ts';
import { socketOf } from './socket.ts';
import { waitAtMost } from './wait-at-most.ts';

/** The database: a connection string, or the caller's own slonik pool. */
export type DatabaseSource = string | DatabasePool;

/** How rows come back to alteration scripts. */
export interface RowOptions {
  readonly interceptors?: readonly Interceptor[];
  readonly typeParsers?: readonly DriverTypeParser[];
}

export interface ConnectOptions {
  /** Shown in pg_stat_activity, cut to PostgreSQL's 63 bytes. */
  readonly applicationName: string;
  readonly rows?: RowOptions | undefined;
  /** After this many milliseconds a server that no longer answers is taken for lost; 0 leaves it to the system. */
  readonly keepaliveMs: number;
  /** How long one attempt to connect may take, in milliseconds. */
  readonly connectTimeoutMs?: number;
}

/** A database that was put to sleep may take its time. */
export const longestConnectMs = 10_000;

const goodByeMs = 2_000;

/** A way to the database, to be gone once. */
export interface Connector {
  /** Undefined where the caller's own driver connects. */
  readonly client?: pg.Client;
  /** Connects and calls `work`. Throws what describes why it could not connect, or the work's error as it is. */
  readonly connect: <T>(work: (connection: Connection) => Promise<T>) => Promise<T>;
  readonly end: () => Promise<void>;
}

/** For a pool of the caller's: one connection of the same configuration, save for the time limits. */
export async function createConnector(source: DatabaseSource, options: ConnectOptions): Promise<Connector> {
  if (typeof source === 'string' || !source.configuration.driverFactory) return createOwn(source, options);
  const { connectionOf, createOwnPool } = await import('./slonik.ts');
  const pool = await createOwnPool(source);
  return {
    connect: (work) => pool.connect((slonik) => work(connectionOf(slonik))),
    end: () => pool.end(),
  };
}

function createOwn(source: DatabaseSource, options: ConnectOptions): Connector {
  const link = createLink(readClientConfig(source, options), options.keepaliveMs);
  const scripts = attachLater(link, rowsOf(source, options));
  return {
    client: link.client,
    connect: async (work) => {
      await link.connect();
      // What interceptors do on connecting must be there before the session is looked at.
      if (rowsOf(source, options)?.interceptors?.length) await scripts.connection();
      return work(openConnection(link, scripts));
    },
    end: async () => {
      await scripts.end();
      await waitAtMost(link.end(), goodByeMs);
      socketOf(link.client)?.destroy();
    },
  };
}

function rowsOf(source: DatabaseSource, { rows }: ConnectOptions): RowOptions | undefined {
  if (typeof source === 'string') return rows;
  const { interceptors, typeParsers } = source.configuration;
  return { interceptors: interceptors ?? rows?.interceptors, typeParsers: typeParsers ?? rows?.typeParsers };
}

/** slonik is loaded when it is first asked for. */
function attachLater(
  link: Link,
  rows: RowOptions | undefined,
): ScriptAccess & { readonly end: () => Promise<void> } {
  let attached: Promise<AttachedSlonik> | undefined;
  const attach = () => {
    attached ??= import('./slonik.ts').then(({ attachSlonik }) => attachSlonik(link, rows));
    return attached;
  };
  return {
    connection: async () => (await attach()).connection,
    adopt: async (work) => (await attach()).adopt(work),
    end: async () => (await attached)?.end(),
  };
}

function readClientConfig(source: DatabaseSource, options: ConnectOptions): pg.ClientConfig {
  const given = typeof source === 'string' ? undefined : source.configuration;
  const { ssl, password } = given ?? {};
  return {
    ...parseConnectionString(typeof source === 'string' ? source : source.configuration.connectionUri),
    ...(ssl ? { ssl } : {}),
    ...(password === undefined ? {} : { password }),
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectTimeoutMs ?? longestConnectMs,
    // The system then asks ten times, a second apart.
    ...(options.keepaliveMs > 0
      ? { keepAlive: true, keepAliveInitialDelayMillis: Math.max(1_000, options.keepaliveMs - 10_000) }
      : {}),
  };
}

/** Where a client connects to. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Where a client connects to: node-postgres has filled in the defaults and the PG* variables. */
export function addressOf(client: pg.Client | undefined): Address | undefined {
  return client && { host: client.host, port: client.port };
}

const unreachableCodes =
  /^(?:ECONN|EHOST|ENET|ENOTFOUND$|EAI_|ETIMEDOUT$|EPIPE$|ENOENT$|EACCES$|57P0[1235]$|53300$|08)/;

/** PgBouncer says with one code that a server is away and that a name or a password is wrong. */
const poolerRefusals =
  /no such|does not exist|authentication failed|not allowed|unsupported startup parameter/i;

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'the host name is not known',
  EAI_AGAIN: 'the host name cannot be looked up',
  ETIMEDOUT: 'it does not answer',
};

/** Turns what kept a connection from being made into one that may be tried again, or one that may not. */
export function describeConnectFailure(error: unknown, address: Address | undefined): unknown {
  if (error instanceof AlterationError) return error;
  const code = findErrorCode(error) ?? '';
  const message = findMessage(error).replace(/\.$/, '');
  const where = address ? `${address.host}:${address.port}` : 'the given pool';
  const timedOut = /timeout|terminated/i.test(message);
  const refused = code === '08P01' && poolerRefusals.test(message);
  if (!refused && (unreachableCodes.test(code) || (code === '' && timedOut))) {
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
