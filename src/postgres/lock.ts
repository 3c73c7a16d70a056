import { createHash } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { LockHeldError, type LockHolder, StoppedError } from '../core/errors.ts';
import { now } from '../now.ts';
import type { HistoryTable } from './history-table.ts';
import { type Queryable, rawQuery, readDocument, trusted } from './query.ts';
import { sql } from './sql.ts';

const pollMs = 100;
const reportEveryMs = 5_000;

export interface LockOptions {
  /** How long to wait for another holder, in milliseconds. */
  readonly waitMs: number;
  /** Aborted when the run is to stop; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  /** Called when the lock is not free, then every few seconds. */
  readonly onWait?: (wait: { holder: LockHolder | undefined; waitedMs: number }) => void;
}

/** Key of the advisory lock: one a history, whatever the database's name. */
export function lockKey({ schema, table }: HistoryTable): bigint {
  return createHash('sha256')
    .update(`alteration:${JSON.stringify([schema, table])}`)
    .digest()
    .readBigInt64BE();
}

/** Calls `work` while this session holds the lock. Throws a LockHeldError when the wait is over. */
export async function withLock<T>(
  connection: Queryable,
  key: bigint,
  options: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  await pollLock(connection, key, options, async () => (await tryLock(connection, key)) || undefined);
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await releaseLock(connection, key).catch(() => undefined); // the first error is the one that tells
    throw error;
  }
  await releaseLock(connection, key);
  return result;
}

/** Who holds the lock now; undefined when nobody does. */
export async function readLockHolder(connection: Queryable, key: bigint): Promise<LockHolder | undefined> {
  const query = rawQuery(`
    select (
      select pg_catalog.json_build_object('pid', l.pid, 'applicationName', coalesce(a.application_name, ''),
        'host', pg_catalog.host(a.client_addr), 'role', a.usename, 'since', a.backend_start)
      from pg_catalog.pg_locks as l left join pg_catalog.pg_stat_activity as a on a.pid = l.pid
      where ${isLockSql(key)}
      limit 1
    )::text as document`);
  const row = await readDocument(connection, query, trusted<HolderRow | null>());
  return row ? describeHolder(row) : undefined;
}

/** Whether the session that asks holds the lock; without parameters. */
export function holdsLockSql(key: bigint): string {
  return `select exists (
    select from pg_catalog.pg_locks as l where l.pid = pg_catalog.pg_backend_pid() and ${isLockSql(key)}
  )`;
}

function isLockSql(key: bigint): string {
  return `l.locktype = 'advisory' and l.granted and l.objsubid = 1
    and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
    and (l.classid::bigint << 32) | l.objid::bigint = '${key}'::bigint`;
}

/** Asks again and again, and tells of it, until the attempt gives something else than undefined. */
export async function pollLock<T>(
  connection: Queryable,
  key: bigint,
  options: LockOptions,
  attempt: () => Promise<T | undefined>,
): Promise<T> {
  const start = now();
  let reportAtMs = 0;
  // Polls: a session blocked in pg_advisory_lock holds a snapshot, which `create index concurrently` would wait for.
  for (;;) {
    const outcome = await attempt();
    if (outcome !== undefined) return outcome;
    const waitedMs = now() - start;
    if (waitedMs >= options.waitMs) throw await lockHeld(connection, key, waitedMs);
    if (waitedMs >= reportAtMs) {
      options.onWait?.({ holder: await readLockHolder(connection, key), waitedMs });
      reportAtMs = waitedMs + reportEveryMs;
    }
    await pauseBetweenPolls(options.signal);
  }
}

async function tryLock(connection: Queryable, key: bigint): Promise<boolean> {
  return readDocument(
    connection,
    sql.unsafe`select pg_catalog.pg_try_advisory_lock(${key}::bigint)::text as document`,
    trusted<boolean>(),
  );
}

async function releaseLock(connection: Queryable, key: bigint): Promise<void> {
  await connection.query(sql.unsafe`select pg_catalog.pg_advisory_unlock(${key}::bigint)`);
}

async function pauseBetweenPolls(signal: AbortSignal | undefined): Promise<void> {
  try {
    await pause(pollMs * (0.5 + Math.random()), undefined, signal ? { signal } : {});
  } catch {
    throw signal?.reason instanceof Error ? signal.reason : new StoppedError('a request to stop');
  }
}

async function lockHeld(connection: Queryable, key: bigint, waitedMs: number): Promise<LockHeldError> {
  const holder = await readLockHolder(connection, key);
  const who = holder
    ? `session ${holder.pid} ("${holder.applicationName}"${holder.host ? ` from ${holder.host}` : ''}${holder.since ? `, connected since ${holder.since}` : ''})`
    : 'another session';
  return new LockHeldError(`Another instance is altering this database: ${who} holds the lock.`, {
    holder,
    waitedMs,
    hint: 'Run it again when the other has finished, or wait longer with --lock-wait.',
  });
}

interface HolderRow {
  readonly pid: number;
  readonly applicationName: string;
  readonly host: string | null;
  readonly role: string | null;
  readonly since: string | null;
}

function describeHolder({ pid, applicationName, host, role, since }: HolderRow): LockHolder {
  return {
    pid,
    applicationName,
    ...(host ? { host } : {}),
    ...(role ? { role } : {}),
    ...(since ? { since: new Date(since).toISOString() } : {}),
  };
}
