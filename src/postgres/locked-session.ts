import type { DatabasePoolConnection, DatabaseTransactionConnection } from 'slonik';
import { sql } from 'slonik';
import { type LockOptions, withLock } from './lock.ts';
import { openPooledSession } from './pooled-session.ts';
import { type Queryable, rawQuery } from './query.ts';
import type { SessionRemains } from './reset-session.ts';
import type { Session } from './session.ts';
import { wholeMs } from './session-facts.ts';

/** A session that may alter: within what it offers no other instance does. */
export interface LockedSession {
  /** A transaction under the lock. PostgreSQL gives up waiting for any other lock in it after the lock timeout. */
  readonly transaction: <T>(
    work: (transaction: DatabaseTransactionConnection) => Promise<T>,
    lockTimeoutMs: number,
  ) => Promise<T>;
  /** Work outside a transaction, under the lock. */
  readonly outside: <T>(work: (outside: OutsideSession) => Promise<T>, lockTimeoutMs: number) => Promise<T>;
  /** Ends what an alteration may have left in the session, as far as its own transaction has not. */
  readonly reset: () => Promise<SessionRemains>;
  /** The server process that works, or did last; undefined where that cannot be said. */
  readonly backendPid: () => number | undefined;
}

/** What work outside a transaction is given. */
export interface OutsideSession {
  readonly connection: DatabasePoolConnection;
  /** For a statement that may have one of its own. */
  readonly transaction: <T>(work: (transaction: DatabaseTransactionConnection) => Promise<T>) => Promise<T>;
  /** Throws a SessionLostError once others are no longer kept out. To be called before and after every statement. */
  readonly check: () => Promise<void>;
  /** For a statement that disturbs nobody while it waits. A lock timeout that a script has set itself stays. */
  readonly withoutLockTimeout: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Calls `work` with a session that may alter; throws a LockHeldError when the wait for another instance is over. */
export async function withLockedSession<T>(
  session: Session,
  key: bigint,
  options: LockOptions & { readonly lockTimeoutMs: number },
  work: (locked: LockedSession) => Promise<T>,
): Promise<T> {
  // Behind a transaction pooler there is no session to hold a lock: every transaction takes it for itself.
  if (session.database.pooler === 'transaction') return work(openPooledSession(session, key, options));
  return withLock(session.connection, key, options, () =>
    work(openDirectSession(session, options.lockTimeoutMs)),
  );
}

/** The session itself holds the lock, and its lock timeout is `usualMs` unless it is set otherwise. */
function openDirectSession(session: Session, usualMs: number): LockedSession {
  const { connection } = session;
  const setTimeoutTo = (queryable: Queryable, ms: number, scope: 'session' | 'local') =>
    queryable.query(rawQuery(`set ${scope} lock_timeout = ${wholeMs(ms)}`));
  return {
    transaction: (work, lockTimeoutMs) =>
      session.transaction(async (transaction) => {
        if (lockTimeoutMs !== usualMs) await setTimeoutTo(transaction, lockTimeoutMs, 'local');
        return work(transaction);
      }),
    outside: async (work, lockTimeoutMs) => {
      if (lockTimeoutMs !== usualMs) await setTimeoutTo(connection, lockTimeoutMs, 'session');
      return work({
        connection,
        transaction: session.transaction,
        check: async () => undefined,
        withoutLockTimeout: (statement) => withoutLockTimeout(connection, lockTimeoutMs, statement),
      });
    },
    reset: session.reset,
    backendPid: () => session.backendPid,
  };
}

async function withoutLockTimeout<T>(
  connection: DatabasePoolConnection,
  usualMs: number,
  statement: () => Promise<T>,
): Promise<T> {
  const { rows } = await connection.query(sql.unsafe`
    select pg_catalog.set_config('lock_timeout', '0', false)
    from pg_catalog.pg_settings where name = 'lock_timeout' and setting::int = ${wholeMs(usualMs)}`);
  const restore = async () => {
    if (rows.length > 0) await connection.query(rawQuery(`set lock_timeout = ${wholeMs(usualMs)}`));
  };
  let result: T;
  try {
    result = await statement();
  } catch (error) {
    await restore().catch(() => undefined); // the first error is the one that tells
    throw error;
  }
  await restore();
  return result;
}
