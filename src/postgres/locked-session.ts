import type { Connection, Transaction } from './connection.ts';
import { type LockOptions, withLock } from './lock.ts';
import { openPooledSession } from './pooled-session.ts';
import { type QueryAnswer, type Queryable, rawQuery } from './query.ts';
import {
  type Beginning,
  holdsLock,
  readBeginning,
  resetAndLockQueries,
  resetAndTell,
  resetRole,
  resetSession,
  type SessionRemains,
} from './reset-session.ts';
import type { Session } from './session.ts';
import { wholeMs } from './session-facts.ts';
import { shareTransaction } from './shared-transaction.ts';
import { sql } from './sql.ts';

/** A session that may alter: within what it offers no other instance does. */
export interface LockedSession {
  /** A transaction under the lock. PostgreSQL gives up waiting for any other lock in it after the lock timeout. */
  readonly transaction: <T>(
    work: (transaction: Transaction) => Promise<T>,
    options: TransactionOptions,
  ) => Promise<T>;
  /** Work outside a transaction, under the lock. */
  readonly outside: <T>(work: (outside: OutsideSession) => Promise<T>, lockTimeoutMs: number) => Promise<T>;
  /** Brings the role back to the session's beginning, within a transaction; see `resetRole`. */
  readonly resetRole: (transaction: Transaction, onStart: () => void) => Promise<readonly string[]>;
  /** Ends what an alteration may have left in the session, as far as its own transaction has not. */
  readonly reset: () => Promise<SessionRemains>;
  /**
   * Calls `work` with a session whose transactions are all parts of one, which is committed when it is over.
   * Not to be had behind a transaction pooler.
   */
  readonly together: <T>(work: (shared: LockedSession) => Promise<T>, options: TogetherOptions) => Promise<T>;
  /** The server process that works, or did last; undefined where that cannot be said. */
  readonly backendPid: () => number | undefined;
}

export interface TransactionOptions {
  readonly lockTimeoutMs: number;
  /** Called when all before the commit is done. */
  readonly onCommit?: () => void;
  /** Whether its work is known to set no savepoints and to make nothing that is deferred to a commit. */
  readonly isPlain?: boolean;
}

export interface TogetherOptions {
  /** Called before the commit with whether the runner's lock is still held; what it throws has all rolled back. */
  readonly onEnd: (lockHeld: boolean) => void;
}

/** What work outside a transaction is given. */
export interface OutsideSession {
  readonly connection: Connection;
  /** For a statement that may have one of its own. */
  readonly transaction: <T>(work: (transaction: Transaction) => Promise<T>) => Promise<T>;
  /** Throws a SessionLostError once others are no longer kept out. To be called before and after every statement. */
  readonly check: () => Promise<void>;
  /** For a statement that disturbs nobody while it waits. A lock timeout that a script has set itself stays. */
  readonly withoutLockTimeout: <T>(work: () => Promise<T>) => Promise<T>;
}

export interface LockedOptions extends LockOptions {
  readonly lockTimeoutMs: number;
  /** Whether a reset tells all that was left, and not advisory locks alone. */
  readonly tellLeaks: boolean;
}

/** Calls `work` with a session that may alter; throws a LockHeldError when the wait for another instance is over. */
export async function withLockedSession<T>(
  session: Session,
  lockKey: bigint,
  options: LockedOptions,
  work: (locked: LockedSession) => Promise<T>,
): Promise<T> {
  // Behind a transaction pooler there is no session to hold a lock: every transaction takes it for itself.
  if (session.database.pooler === 'transaction') return work(openPooledSession(session, lockKey, options));
  const { connection } = session;
  return withLock(connection, lockKey, options, async () =>
    work(openDirectSession(session, await readBeginning(connection, lockKey), options)),
  );
}

/** The session itself holds the lock, and its lock timeout is that of the options unless it is set otherwise. */
function openDirectSession(
  { connection, backendPid }: Session,
  beginning: Beginning,
  { lockTimeoutMs: usualMs, tellLeaks }: LockedOptions,
): LockedSession {
  const shared = {
    beginning,
    usualMs,
    tellLeaks,
    resetRole: (transaction: Transaction, onStart: () => void) => resetRole(transaction, beginning, onStart),
    backendPid: () => backendPid,
  };
  let sent: readonly QueryAnswer[] | undefined; // of a reset that went along with a commit, and nothing since
  const locked: LockedSession = {
    transaction: async (work, { lockTimeoutMs, onCommit }) => {
      sent = undefined;
      const { value, after } = await connection.transaction(
        async (transaction) => {
          if (lockTimeoutMs !== usualMs) transaction.defer(lockTimeoutQuery(lockTimeoutMs, 'local'));
          return work(transaction);
        },
        {
          ...(onCommit ? { onCommit } : {}),
          ...(tellLeaks ? {} : { after: resetAndLockQueries(beginning) }),
        },
      );
      sent = tellLeaks ? undefined : after;
      return value;
    },
    outside: async (work, lockTimeoutMs) => {
      sent = undefined;
      if (lockTimeoutMs !== usualMs) await connection.query(lockTimeoutQuery(lockTimeoutMs, 'session'));
      return work({
        connection,
        transaction: async (inner) => (await connection.transaction(inner)).value,
        check: async () => undefined,
        withoutLockTimeout: (statement) => withoutLockTimeout(connection, lockTimeoutMs, statement),
      });
    },
    resetRole: shared.resetRole,
    reset: async () => {
      const answers = sent;
      sent = undefined;
      return tellLeaks ? resetAndTell(connection, beginning) : resetSession(connection, beginning, answers);
    },
    together: (work, { onEnd }) =>
      locked.transaction(
        async (transaction) => {
          const value = await work(await shareTransaction(transaction, shared));
          onEnd(await holdsLock(transaction, beginning));
          return value;
        },
        { lockTimeoutMs: usualMs },
      ),
    backendPid: shared.backendPid,
  };
  return locked;
}

export function lockTimeoutQuery(ms: number, scope: 'session' | 'local') {
  return rawQuery(`set ${scope} lock_timeout = ${wholeMs(ms)}`);
}

async function withoutLockTimeout<T>(
  connection: Queryable,
  usualMs: number,
  statement: () => Promise<T>,
): Promise<T> {
  const { rows } = await connection.query(sql.unsafe`
    select pg_catalog.set_config('lock_timeout', '0', false)
    from pg_catalog.pg_settings where name = 'lock_timeout' and setting::int = ${wholeMs(usualMs)}`);
  const restore = async () => {
    if (rows.length > 0) await connection.query(lockTimeoutQuery(usualMs, 'session'));
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
