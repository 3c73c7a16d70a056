import { setImmediate as promiseChains } from 'node:timers/promises';
import {
  type DatabasePoolConnection,
  type DatabaseTransactionConnection,
  type PrimitiveValueExpression,
  type QuerySqlToken,
  sql,
} from 'slonik';
import { UsageError } from '../core/errors.ts';

const queryMethods = [
  'any',
  'anyFirst',
  'exists',
  'many',
  'manyFirst',
  'maybeOne',
  'maybeOneFirst',
  'one',
  'oneFirst',
  'query',
  'record',
] as const;

type Connection = DatabasePoolConnection | DatabaseTransactionConnection;
type QueryMethod = (typeof queryMethods)[number];
type NestedHandler = (nested: DatabaseTransactionConnection) => Promise<unknown>;

/** Where a failed query came from. */
export interface FailedQuery {
  /** As it was sent. */
  readonly text: string;
  /** Its stack leads to the line of the script that made the query. */
  readonly callSite: Error;
}

export interface ScriptConnectionOptions {
  /** Splits a text of several statements into single ones. */
  readonly splitStatements: (text: string) => Promise<readonly string[]>;
  /** Throws when a query may not be sent. */
  readonly checkQuery: (text: string) => void;
  /** Sends each query that is not in a nested transaction, and may do something before and after. */
  readonly send?: (text: string, send: () => Promise<unknown>) => Promise<unknown>;
  readonly onFailure: (error: unknown, query: FailedQuery) => void;
  /** Called with +1 when a query begins and -1 when it ends. */
  readonly onActivity: (change: 1 | -1) => void;
}

/** What a script is given, and the two ways to take it back. */
export interface ScriptConnection<C extends Connection> {
  readonly connection: C;
  /** Waits for the queries under way, awaited by the script or not, and refuses further ones. */
  readonly finish: () => Promise<void>;
  /** Refuses further queries at once, those that wait their turn too. */
  readonly abandon: () => Promise<void>;
}

/**
 * A slonik connection that takes the queries of any slonik release's `sql` tag, and several statements in one.
 * Queries run one after the other: once it is abandoned, none that waited can slip out behind a rollback.
 */
export function openScriptConnection<C extends Connection>(
  inner: C,
  options: ScriptConnectionOptions,
): ScriptConnection<C> {
  let closed = false;
  let last: Promise<unknown> = Promise.resolve();
  const nestings = new Set<Promise<unknown>>();
  const nestedScripts = new Set<ScriptConnection<Connection>>();
  const requireOpen = () => {
    if (closed)
      throw new UsageError('The alteration is over, and its connection with it; await every query.');
  };
  const run = (method: QueryMethod, token: unknown) => {
    const callSite = new Error('query');
    const turn = last.then(() => {
      requireOpen();
      return whileActive(options, () => runToken(inner, method, token, options, callSite));
    });
    last = turn.catch(() => undefined);
    return turn;
  };
  const transaction = async (handler: NestedHandler) => {
    requireOpen();
    // slonik would refuse the queries before it, where nobody has waited for them.
    const before = last;
    const nesting = whileActive(options, () =>
      before.then(
        () =>
          inner.transaction(async (nested) => {
            requireOpen(); // it may be over since the savepoint was asked for
            return runNested(nested, handler, omitSend(options), nestedScripts);
          }, 0), // never run again by itself
      ),
    );
    nestings.add(nesting);
    return nesting.finally(() => nestings.delete(nesting));
  };
  const methods = Object.fromEntries(
    queryMethods.map((name) => [name, (token: unknown) => run(name, token)]),
  );
  return {
    connection: { ...methods, transaction } as unknown as C, // slonik's own methods, by their names
    finish: async () => {
      let waited: unknown;
      while (waited !== last || nestings.size > 0) {
        waited = last;
        await Promise.allSettled([last, ...nestings]);
        await promiseChains(); // what goes on after a query may make another one
      }
      closed = true;
    },
    abandon: async () => {
      closed = true;
      await Promise.all([...nestedScripts].map((nested) => nested.abandon()));
      await last;
    },
  };
}

function omitSend({ send: _, ...options }: ScriptConnectionOptions): ScriptConnectionOptions {
  return options;
}

async function runNested(
  nested: DatabaseTransactionConnection,
  handler: NestedHandler,
  options: ScriptConnectionOptions,
  open: Set<ScriptConnection<Connection>>,
): Promise<unknown> {
  const script = openScriptConnection(nested, options);
  open.add(script);
  options.onActivity(-1); // the savepoint is set; what the handler does beside its queries is not the database's
  try {
    const result = await handler(script.connection);
    await script.finish();
    return result;
  } catch (error) {
    await script.abandon();
    throw error;
  } finally {
    open.delete(script);
    options.onActivity(1);
  }
}

async function whileActive<T>(options: ScriptConnectionOptions, work: () => Promise<T>): Promise<T> {
  options.onActivity(1);
  try {
    return await work();
  } finally {
    options.onActivity(-1);
  }
}

async function runToken(
  inner: Connection,
  method: QueryMethod,
  token: unknown,
  options: ScriptConnectionOptions,
  callSite: Error,
): Promise<unknown> {
  const { text, values } = parseToken(token);
  const several = values.length === 0 && /;\s*\S/.test(text);
  const texts = several ? await options.splitStatements(text) : [text];
  for (const single of texts) options.checkQuery(single);
  let result: unknown;
  for (const [index, single] of texts.entries()) {
    const call = inner[index === texts.length - 1 ? method : 'query'] as (
      query: QuerySqlToken,
    ) => Promise<unknown>; // a union of overloads with one shape
    try {
      const send = () => call.call(inner, { ...sql.unsafe`select`, sql: single, values });
      result = await (options.send ? options.send(single, send) : send());
    } catch (error) {
      options.onFailure(error, { text: single, callSite });
      throw error;
    }
  }
  return result;
}

/** Text and values of a token of any slonik release. */
function parseToken(token: unknown): { text: string; values: readonly PrimitiveValueExpression[] } {
  if (typeof token !== 'object' || token === null || !('sql' in token) || typeof token.sql !== 'string') {
    const found = typeof token === 'string' ? 'a string' : String(token);
    throw new UsageError(
      `A query is written with slonik's sql tag, such as sql.unsafe\`select 1\`; found ${found}.`,
    );
  }
  const values = 'values' in token && Array.isArray(token.values) ? token.values : [];
  // As slonik sends it: an error's position counts the characters of that.
  return { text: token.sql.replaceAll('$slonik_', '$'), values };
}

/** Refuses statements that would end the transaction that an alteration and its history row share. */
export function refuseTransactionControl(text: string): void {
  const words = withoutComments(text).replace(/^[\s;]+/, '');
  const match =
    /^(?:begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:work\s+|transaction\s+)?to\b))\b/i.exec(
      words,
    );
  if (!match) return;
  throw new UsageError(
    `"${match[0]}" is not for an alteration: its work and its history row are one transaction.`,
    {
      hint: 'Use connection.transaction(…) for a part that may fail, and beforeUp for work outside the transaction.',
    },
  );
}

/** The text with its comments blanked, nested ones too. Quotes are not heeded: only the first words matter here. */
function withoutComments(text: string): string {
  const blanked = text.replace(/--[^\r\n]*|\/\*(?:(?!\/\*|\*\/)[\s\S])*\*\//g, ' ');
  return blanked === text ? text : withoutComments(blanked);
}
