import { setTimeout as pause } from 'node:timers/promises';
import { renderDuration } from '../core/duration.ts';
import { type Blocker, HistoryBlockedError } from '../core/errors.ts';
import { now } from '../now.ts';
import { findDatabaseFailure, findMessage } from '../postgres/database-failure.ts';
import type { HistoryTable } from '../postgres/history-table.ts';
import type { Session } from '../postgres/session.ts';
import { defaultLockDeadlineMs, defaultLockTimeoutMs, type RunOptions, reporterOf } from './options.ts';
import { isLockState, pauseAfter } from './retry-locks.ts';
import { withBlockerWatch } from './watch-blockers.ts';

type Options = Pick<RunOptions, 'lockTimeoutMs' | 'lockDeadlineMs' | 'stop' | 'onEvent' | 'logger'>;

/** Makes an attempt on the history table again while others hold locks on it. */
export function retryOnHistory<T>(
  session: Session,
  { schema, table }: HistoryTable,
  options: Options,
  backendPid: () => number | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  const start = now();
  const { lockTimeoutMs = defaultLockTimeoutMs, lockDeadlineMs = defaultLockDeadlineMs, stop } = options;
  const report = reporterOf(options);
  const alteration = `${schema}.${table}`;
  return withBlockerWatch(session, report, async ({ during, lastBlockers }) => {
    for (let attempts = 1; ; attempts++) {
      try {
        return await during({ alteration, lockTimeoutMs, backendPid }, attempt);
      } catch (error) {
        if (!isLockState(findDatabaseFailure(error)?.sqlState)) throw error;
        const pauseMs = Math.round(pauseAfter(attempts));
        const spentMs = now() - start;
        if (spentMs + pauseMs >= lockDeadlineMs) throw blocked(alteration, spentMs, lastBlockers(), error);
        report({ type: 'retrying', alteration, attempts, reason: findMessage(error), pauseMs });
        await pause(pauseMs, undefined, stop ? { signal: stop } : {}).catch(() => {
          throw stop?.reason;
        });
      }
    }
  });
}

function blocked(table: string, spentMs: number, blockers: readonly Blocker[], cause: unknown) {
  const spent = renderDuration(spentMs);
  return new HistoryBlockedError(
    `The history table "${table}" was locked by others for ${spent}: ${findMessage(cause)}.`,
    { blockers, hint: 'Nothing was changed. End what holds the lock, and run it again.', cause },
  );
}
