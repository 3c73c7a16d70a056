import type pg from 'pg';
import { createDriverFactory, type DriverCommand, type DriverFactory, type DriverTypeParser } from 'slonik';
import { type Link, markTermination, nativeParser, type Parser } from './link.ts';

/** [type, array type] of the built-in types that slonik's presets parse. */
const builtInOids: Readonly<Record<string, readonly [number, number]>> = {
  int8: [20, 1016],
  date: [1082, 1182],
  interval: [1186, 1187],
  numeric: [1700, 1231],
  timestamp: [1114, 1115],
  timestamptz: [1184, 1185],
};

/** What slonik sends around a transaction's handler. */
const boundaries = new Set(['START TRANSACTION', 'COMMIT', 'ROLLBACK']);

/**
 * slonik's driver over a link that is connected, with two differences from slonik's own: built-in types are not looked
 * up over a second connection, and PostgreSQL's errors reach the caller with all their fields.
 *
 * @param isAdopted Whether the transaction under way is the runner's: then slonik's own boundaries are not sent.
 */
export function createDriver(link: Link, isAdopted: () => boolean): DriverFactory {
  return createDriverFactory(async ({ driverConfiguration }) => ({
    createPoolClient: async ({ clientEventEmitter }) => {
      link.client.on('error', (error) => {
        // When slonik is done with the connection nobody listens any more, which would be a fault.
        if (clientEventEmitter.listenerCount('error') > 0)
          clientEventEmitter.emit('error', markTermination(error));
      });
      link.client.on('notice', ({ message }) =>
        clientEventEmitter.emit('notice', { message: message ?? '' }),
      );
      return {
        connect: () => addParsers(link, driverConfiguration.typeParsers),
        end: async () => undefined,
        query: async (text, values) =>
          isAdopted() && boundaries.has(text)
            ? nothing
            : describeAnswer(await link.query(text, values ?? [])),
        stream: () => {
          throw new Error('Streams are not available to alterations; read the rows with any or many.');
        },
      };
    },
  }));
}

const nothing = { command: '' as DriverCommand, fields: [], rowCount: null, rows: [] };

function describeAnswer({ command, fields, rowCount, rows }: pg.QueryResult) {
  return {
    command: command as DriverCommand, // slonik names five commands; PostgreSQL has more
    fields: fields.map(({ dataTypeID, name }) => ({ dataTypeId: dataTypeID, name })),
    rowCount,
    rows,
  };
}

async function addParsers(link: Link, typeParsers: readonly DriverTypeParser[]): Promise<void> {
  const unknown = typeParsers.filter(({ name }) => !(name in builtInOids)).map(({ name }) => name);
  const found = unknown.length > 0 ? await lookUpOids(link, unknown) : {};
  for (const { name, parse } of typeParsers) {
    const oids = builtInOids[name] ?? found[name];
    if (!oids) continue; // an extension's type that only a later alteration creates
    link.parsers.set(oids[0], parse);
    link.parsers.set(oids[1], (text) => parseEntries(parseTextArray(text), parse));
  }
}

const parseTextArray = nativeParser(1009, 'text');

function parseEntries(value: unknown, parse: Parser): unknown {
  if (Array.isArray(value)) return value.map((entry) => parseEntries(entry, parse));
  return typeof value === 'string' ? parse(value) : value;
}

async function lookUpOids(link: Link, names: readonly string[]) {
  const { rows }: { rows: { typname: string; oid: number; typarray: number }[] } = await link.query(
    'select typname, oid::int4, typarray::int4 from pg_catalog.pg_type where typname = any ($1)',
    [names],
  );
  return Object.fromEntries(rows.map(({ typname, oid, typarray }) => [typname, [oid, typarray] as const]));
}
