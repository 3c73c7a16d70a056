import { lockKey, withLock } from '../postgres/lock.ts';
import type { RunEvent } from './events.ts';
import { defaultLockWaitMs, type RunOptions } from './options.ts';
import { refreshSnapshot, requireWritable, type Snapshot } from './snapshot.ts';

/** Calls `work` under the lock, with the history as it is then: another instance may have altered it meanwhile. */
export async function underLock<T>(
  snapshot: Snapshot,
  { lockWaitMs, stop }: Pick<RunOptions, 'lockWaitMs' | 'stop'>,
  report: (event: RunEvent) => void,
  work: (current: Snapshot) => Promise<T>,
): Promise<T> {
  requireWritable(snapshot);
  const { session, historyTable } = snapshot;
  const options = {
    waitMs: lockWaitMs ?? defaultLockWaitMs,
    signal: stop,
    onWait: (wait: Omit<Extract<RunEvent, { type: 'lock-waiting' }>, 'type'>) =>
      report({ type: 'lock-waiting', ...wait }),
  };
  return withLock(session.connection, lockKey(historyTable), options, async () =>
    work(await refreshSnapshot(snapshot)),
  );
}
