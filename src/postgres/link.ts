import { BackendTerminatedError, BackendTerminatedUnexpectedlyError } from '@slonik/errors';
import pg from 'pg';
import { type BatchedQuery, BatchFailure, sendBatch } from './batch.ts';
import type { QueryAnswer } from './query.ts';
import { watchSilence } from './silent-server.ts';

export type Parser = (value: string) => unknown;

/** A connection to a server, over node-postgres. */
export interface Link {
  readonly client: pg.Client;
  /** How values come back, by the oids of their types; nothing of it applies to a batch. */
  readonly parsers: Map<number, Parser>;
  readonly connect: () => Promise<void>;
  readonly query: (text: string, values?: readonly unknown[]) => Promise<pg.QueryResult>;
  /** Throws a BatchFailure. */
  readonly batch: (queries: readonly BatchedQuery[]) => Promise<readonly QueryAnswer[]>;
  readonly end: () => Promise<void>;
}

/** A link that is not connected yet. A server that does not answer for `keepaliveMs` is taken for lost; 0: never. */
export function createLink(config: pg.ClientConfig, keepaliveMs: number): Link {
  const parsers = new Map<number, Parser>();
  const client = new pg.Client({
    ...config,
    types: {
      getTypeParser: (oid, format) => parsers.get(Number(oid)) ?? nativeParser(Number(oid), format),
    },
  });
  client.on('error', () => undefined); // without a listener the process would die; the query under way tells
  let serial = 0;
  let underWay = 0;
  const silence = watchSilence(client, keepaliveMs, () => (underWay > 0 ? serial : undefined));
  const tracked = async <T>(send: () => Promise<T>): Promise<T> => {
    serial += 1;
    underWay += 1;
    try {
      return await send();
    } catch (error) {
      throw error instanceof BatchFailure
        ? new BatchFailure(markTermination(error.error), error.done)
        : markTermination(error);
    } finally {
      underWay -= 1;
    }
  };
  return {
    client,
    parsers,
    connect: async () => {
      await client.connect();
    },
    query: (text, values = []) => tracked(async () => lastOf(await client.query(text, [...values]))),
    batch: (queries) => tracked(() => sendBatch(client, queries)),
    end: async () => {
      silence.end();
      await client.end();
    },
  };
}

/** Of several statements the answer is an array, which the types do not tell. */
function lastOf(answer: pg.QueryResult | pg.QueryResult[]): pg.QueryResult {
  const last = Array.isArray(answer) ? answer.at(-1) : answer;
  if (!last) throw new Error('the server gave no answer');
  return last;
}

export function nativeParser(oid: number, format: 'text' | 'binary' | undefined): Parser {
  return pg.types.getTypeParser(oid, format === 'binary' ? 'text' : format) as Parser; // text is all that is asked for
}

/** Says by its class that a session is gone: slonik would send a rollback after it. */
export function markTermination(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error));
  if (error.message.includes('Connection terminated unexpectedly')) {
    return new BackendTerminatedUnexpectedlyError(error);
  }
  const code = 'code' in error ? String(error.code) : '';
  const gone = ['57P01', '57P02', '25P03', '25P04', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT'];
  // After a fatal error the connection is closed; a pooler's say so with codes of their own.
  const fatal = 'severity' in error && error.severity === 'FATAL';
  return fatal || gone.includes(code) || /Connection terminated|is not queryable/.test(error.message)
    ? new BackendTerminatedError(error)
    : error;
}
