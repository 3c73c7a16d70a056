import pg from 'pg';
import {
  BackendTerminatedError,
  BackendTerminatedUnexpectedlyError,
  createDriverFactory,
  type DriverCommand,
  type DriverFactory,
  type DriverTypeParser,
} from 'slonik';

import { watchSilence } from './silent-server.ts';

type Parser = (value: string) => unknown;

/** [type, array type] of the built-in types that slonik's presets parse. */
const builtInOids: Readonly<Record<string, readonly [number, number]>> = {
  int8: [20, 1016],
  date: [1082, 1182],
  interval: [1186, 1187],
  numeric: [1700, 1231],
  timestamp: [1114, 1115],
  timestamptz: [1184, 1185],
};

/**
 * slonik's driver over node-postgres, with three differences from slonik's own: built-in types are not looked up
 * over a second connection, PostgreSQL's errors reach the caller with all their fields, and the client is shown.
 */
export function createDriver(
  config: pg.ClientConfig,
  onClient: (client: pg.Client) => void,
  keepaliveMs = 0,
): DriverFactory {
  return createDriverFactory(async ({ driverConfiguration }) => ({
    createPoolClient: async ({ clientEventEmitter }) => {
      const parsers = new Map<number, Parser>();
      const client = new pg.Client({
        ...config,
        types: {
          getTypeParser: (oid, format) => parsers.get(Number(oid)) ?? nativeParser(Number(oid), format),
        },
      });
      onClient(client);
      client.on('error', (error) => clientEventEmitter.emit('error', markTermination(error)));
      client.on('notice', ({ message }) => clientEventEmitter.emit('notice', { message: message ?? '' }));
      return {
        connect: async () => {
          await client.connect();
          await addParsers(client, parsers, driverConfiguration.typeParsers);
        },
        end: () => client.end(),
        query: async (text, values) => {
          const over = new AbortController();
          if (keepaliveMs > 0) void watchSilence(client, keepaliveMs, over.signal);
          return runQuery(client, text, values).finally(() => over.abort());
        },
        stream: () => {
          throw new Error('Streams are not available to alterations; read the rows with any or many.');
        },
      };
    },
  }));
}

function nativeParser(oid: number, format: 'text' | 'binary' | undefined): Parser {
  return pg.types.getTypeParser(oid, format === 'binary' ? 'text' : format) as Parser; // text is all that is asked for
}

async function runQuery(client: pg.Client, text: string, values: unknown[] | undefined) {
  try {
    const answer: pg.QueryResult<pg.QueryResultRow> | pg.QueryResult<pg.QueryResultRow>[] =
      await client.query(text, values);
    const result = Array.isArray(answer) ? answer.at(-1) : answer;
    return {
      command: (result?.command ?? '') as DriverCommand, // slonik names five commands; PostgreSQL has more
      fields: (result?.fields ?? []).map(({ dataTypeID, name }: pg.FieldDef) => ({
        dataTypeId: dataTypeID,
        name,
      })),
      rowCount: result?.rowCount ?? null,
      rows: result?.rows ?? [],
    };
  } catch (error) {
    throw markTermination(error);
  }
}

/** slonik must know that a session is gone, or it would send a rollback after it. */
export function markTermination(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  if (error.message.includes('Connection terminated unexpectedly')) {
    return new BackendTerminatedUnexpectedlyError(error);
  }
  const code = 'code' in error ? String(error.code) : '';
  const gone = ['57P01', '57P02', '25P03', '25P04', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT'];
  // After a fatal error the connection is closed; a pooler's say so with codes of their own.
  const fatal = 'severity' in error && error.severity === 'FATAL';
  return fatal || gone.includes(code) || error.message.includes('Connection terminated')
    ? new BackendTerminatedError(error)
    : error;
}

async function addParsers(
  client: pg.Client,
  parsers: Map<number, Parser>,
  typeParsers: readonly DriverTypeParser[],
): Promise<void> {
  const unknown = typeParsers.filter(({ name }) => !(name in builtInOids)).map(({ name }) => name);
  const found = unknown.length > 0 ? await lookUpOids(client, unknown) : {};
  for (const { name, parse } of typeParsers) {
    const oids = builtInOids[name] ?? found[name];
    if (!oids) continue; // an extension's type that only a later alteration creates
    parsers.set(oids[0], parse);
    parsers.set(oids[1], (text) => parseEntries(parseTextArray(text), parse));
  }
}

const parseTextArray = nativeParser(1009, 'text');

function parseEntries(value: unknown, parse: Parser): unknown {
  if (Array.isArray(value)) return value.map((entry) => parseEntries(entry, parse));
  return typeof value === 'string' ? parse(value) : value;
}

async function lookUpOids(client: pg.Client, names: readonly string[]) {
  const { rows } = await client.query<{ typname: string; oid: number; typarray: number }>(
    'select typname, oid::int4, typarray::int4 from pg_catalog.pg_type where typname = any ($1)',
    [names],
  );
  return Object.fromEntries(rows.map(({ typname, oid, typarray }) => [typname, [oid, typarray] as const]));
}
