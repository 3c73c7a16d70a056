import type { DatabasePoolConnection, DatabaseTransactionConnection } from 'slonik';
import { now } from '../now.ts';
import { type BatchedQuery, BatchFailure } from './batch.ts';
import type { Link } from './link.ts';
import { type QueryAnswer, type Queryable, rawQuery } from './query.ts';
import type { Query } from './sql.ts';

/** A connection as the runner uses it: its own queries in as few round trips as can be, and slonik's for the scripts. */
export interface Connection extends Queryable {
  /** Queries that are all sent before the first is answered; after an error none of those that follow is run. */
  readonly batch: (queries: readonly BatchedQuery[]) => Promise<readonly QueryAnswer[]>;
  /** Is run once: slonik would run it again after a deadlock, side effects and all. */
  readonly transaction: <T>(
    work: (transaction: Transaction) => Promise<T>,
    options?: CommitOptions,
  ) => Promise<Committed<T>>;
  /** The same connection for scripts. */
  readonly scripts: () => Promise<DatabasePoolConnection>;
}

/** A transaction under way. */
export interface Transaction extends Queryable {
  /** Has a query sent along with the next one, or with the commit. Where it fails, that fails. */
  readonly defer: (query: BatchedQuery) => void;
  /** When it began, by `now()`; now, where it has not been sent yet. */
  readonly startedAt: () => number;
  /** Calls `work` with the same transaction for scripts. */
  readonly scripts: <T>(work: (transaction: DatabaseTransactionConnection) => Promise<T>) => Promise<T>;
}

export interface CommitOptions {
  /** Called when all before the commit is done. */
  readonly onCommit?: () => void;
  /** Queries that are sent along with the commit, and run after it. */
  readonly after?: readonly Query[];
}

export interface Committed<T> {
  readonly value: T;
  /** Answers of what was sent along; absent when that has failed, of which the commit knows nothing. */
  readonly after?: readonly QueryAnswer[];
}

/** What gives a connection to scripts. */
export interface ScriptAccess {
  readonly connection: () => Promise<DatabasePoolConnection>;
  /** Calls `work` with the transaction that is under way already. */
  readonly adopt: <T>(work: (transaction: DatabaseTransactionConnection) => Promise<T>) => Promise<T>;
}

/** A connection over a link of ours. */
export function openConnection(link: Link, scripts: ScriptAccess): Connection {
  return {
    query: ({ sql, values }) => link.query(sql, values),
    batch: (queries) => sendAll(link, queries).catch(unwrap),
    transaction: (work, options = {}) => runTransaction(link, scripts, work, options),
    scripts: scripts.connection,
  };
}

function unwrap(failure: unknown): never {
  throw failure instanceof BatchFailure ? failure.error : failure;
}

async function runTransaction<T>(
  link: Link,
  scripts: ScriptAccess,
  work: (transaction: Transaction) => Promise<T>,
  { onCommit, after = [] }: CommitOptions,
): Promise<Committed<T>> {
  const waiting: BatchedQuery[] = [rawQuery('start transaction')];
  let startedAt: number | undefined;
  const send = (queries: readonly BatchedQuery[]) => {
    startedAt ??= now();
    return sendAll(link, [...waiting.splice(0), ...queries]);
  };
  const transaction: Transaction = {
    query: async (query) => lastOf(await send([query]).catch(unwrap)),
    defer: (query) => {
      waiting.push({ ...query, dropsRows: true });
    },
    startedAt: () => startedAt ?? now(),
    scripts: async (inner) => {
      if (waiting.length > 0) await send([]).catch(unwrap);
      return scripts.adopt(inner);
    },
  };
  let committedAt = Number.POSITIVE_INFINITY;
  try {
    const value = await work(transaction);
    committedAt = waiting.length + 1;
    const commit = {
      ...rawQuery('commit'),
      answersAtOnce: true, // what breaks behind it must not leave it in doubt
      ...(onCommit ? { onStart: onCommit } : {}),
    };
    const answers = await send([commit, ...after]).catch((failure: unknown) => {
      if (failure instanceof BatchFailure && failure.done >= committedAt) return undefined;
      throw failure;
    });
    return { value, ...(answers ? { after: answers.slice(committedAt) } : {}) };
  } catch (failure) {
    if (startedAt !== undefined) await link.query('rollback').catch(() => undefined); // the first error is the one that tells
    return unwrap(failure);
  }
}

function lastOf(answers: readonly QueryAnswer[]): QueryAnswer {
  return answers.at(-1) ?? { rows: [] };
}

/** Sends queries in as few batches as can be. Throws a BatchFailure. */
async function sendAll(link: Link, queries: readonly BatchedQuery[]): Promise<readonly QueryAnswer[]> {
  const answers: QueryAnswer[] = [];
  try {
    for (const group of groupQueries(queries)) answers.push(...(await sendGroup(link, group)));
    return answers;
  } catch (failure) {
    if (!(failure instanceof BatchFailure)) throw new BatchFailure(failure, answers.length);
    throw new BatchFailure(failure.error, answers.length + failure.done);
  }
}

/** What could be the placeholder of a value that is not there goes alone, as a text: PostgreSQL then tells what it is. */
function groupQueries(queries: readonly BatchedQuery[]): readonly (readonly BatchedQuery[])[] {
  const groups: BatchedQuery[][] = [];
  for (const query of queries) {
    const last = groups.at(-1);
    if (last && !goesAlone(query) && !last.some(goesAlone)) last.push(query);
    else groups.push([query]);
  }
  return groups;
}

function goesAlone({ sql, values }: Query): boolean {
  return values.length === 0 && /\$\d/.test(sql);
}

async function sendGroup(link: Link, group: readonly BatchedQuery[]): Promise<readonly QueryAnswer[]> {
  const [first] = group;
  if (!first || !goesAlone(first)) return link.batch(group);
  first.onStart?.();
  return [await link.query(first.sql)];
}
