import type { Socket } from 'node:net';
import type pg from 'pg';
import {
  createPool,
  createTypeParserPreset,
  type DatabasePool,
  type DriverTypeParser,
  type Interceptor,
} from 'slonik';
import { AlterationError, DatabaseRefusedError, DatabaseUnreachableError } from '../core/errors.ts';
import { parseConnectionString } from './connection-string.ts';
import { findErrorCode, findMessage } from './database-failure.ts';
import { createDriver } from './driver.ts';

/** The database: a connection string, or the caller's own slonik pool. */
export type DatabaseSource = string | DatabasePool;

/** How rows come back to alteration scripts. */
export interface RowOptions {
  readonly interceptors?: readonly Interceptor[];
  readonly typeParsers?: readonly DriverTypeParser[];
}

export interface PoolOptions {
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
export async function createSessionPool(
  source: DatabaseSource,
  options: PoolOptions,
  onClient: (client: pg.Client) => void,
): Promise<DatabasePool> {
  const given = typeof source === 'string' ? undefined : source.configuration;
  const { rows } = options;
  const pool = await createPool(given?.driverFactory ? given.connectionUri : 'postgres://', {
    ...(given?.driverFactory
      ? given
      : {
          driverFactory: createDriver(readClientConfig(source, options), onClient, options.keepaliveMs),
          interceptors: [...(given?.interceptors ?? rows?.interceptors ?? [])],
          typeParsers: [...(given?.typeParsers ?? rows?.typeParsers ?? createTypeParserPreset())],
        }),
    ...patience,
  });
  pool.on('error', () => undefined); // without a listener the process would die; the query under way tells
  return pool;
}

function readClientConfig(source: DatabaseSource, options: PoolOptions): pg.ClientConfig {
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

/** The client's own, which node-postgres's types do not tell; with TLS the one above the other. */
export function socketOf(client: pg.Client): Socket | undefined {
  const { connection } = client as unknown as { connection?: { stream?: Socket } };
  return connection?.stream;
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
