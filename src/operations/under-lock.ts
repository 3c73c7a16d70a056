import type { Transaction } from '../postgres/connection.ts';
import { lockKey } from '../postgres/lock.ts';
import { type LockedSession, withLockedSession } from '../postgres/locked-session.ts';
import type { RunEvent } from './events.ts';
import { defaultLockTimeoutMs, defaultLockWaitMs, type RunOptions } from './options.ts';
import { retryOnHistory } from './retry-history.ts';
import { refreshSnapshot, requireWritable, type Snapshot } from './snapshot.ts';

/** What a run may do once it has the lock. */
export interface Turn {
  readonly locked: LockedSession;
  /** Whether another instance had the lock when this one asked for it. */
  readonly hasWaited: () => boolean;
  /**
   * One transaction on the history as it is now: another instance may have altered while this one waited.
   * It is made again while others hold locks on the history table.
   */
  readonly onHistory: <T>(work: (current: Snapshot, transaction: Transaction) => Promise<T>) => Promise<T>;
}

/** Calls `work` when it is this instance's turn. */
export async function underLock<T>(
  snapshot: Snapshot,
  options: RunOptions,
  report: (event: RunEvent) => void,
  work: (turn: Turn) => Promise<T>,
): Promise<T> {
  requireWritable(snapshot);
  const { session, historyTable } = snapshot;
  let hasWaited = false;
  const lockOptions = {
    waitMs: options.lockWaitMs ?? defaultLockWaitMs,
    lockTimeoutMs: options.lockTimeoutMs ?? defaultLockTimeoutMs,
    signal: options.stop,
    tellLeaks: options.tellLeaks ?? false,
    onWait: (wait: Omit<Extract<RunEvent, { type: 'lock-waiting' }>, 'type'>) => {
      hasWaited = true;
      report({ type: 'lock-waiting', ...wait });
    },
  };
  return withLockedSession(session, lockKey(historyTable), lockOptions, (locked) =>
    work({
      locked,
      hasWaited: () => hasWaited,
      onHistory: (inner) => onHistory(locked, snapshot, options, inner),
    }),
  );
}

function onHistory<T>(
  locked: LockedSession,
  snapshot: Snapshot,
  options: RunOptions,
  work: (current: Snapshot, transaction: Transaction) => Promise<T>,
): Promise<T> {
  const { session, historyTable } = snapshot;
  return retryOnHistory(session, historyTable, options, locked.backendPid, () =>
    locked.transaction(
      async (transaction) => work(await refreshSnapshot(snapshot, transaction), transaction),
      { lockTimeoutMs: options.lockTimeoutMs ?? defaultLockTimeoutMs },
    ),
  );
}
