import { setTimeout as pause } from 'node:timers/promises';
import { renderDuration } from '../core/duration.ts';
import { AlterationFailedError, AlterationHalfDoneError, type Blocker } from '../core/errors.ts';
import { now } from '../now.ts';
import { findDatabaseFailure } from '../postgres/database-failure.ts';
import { resetSession } from './reset-session.ts';
import type { RunContext } from './run-context.ts';

/** How long alterations wait for the locks of others. Durations are milliseconds. */
export interface LockPatience {
  /** PostgreSQL's lock_timeout, for alterations that do not set their own; 0: none. */
  readonly lockTimeoutMs: number;
  /** From the first attempt that did not get its locks; after it none is made. */
  readonly deadlineMs: number;
  /** Who kept the alteration under way waiting, when it was last looked. */
  readonly lastBlockers: () => readonly Blocker[];
}

const firstPauseMs = 250;
const longestPauseMs = 4_000;

/**
 * Makes the attempt, and makes it again while it fails for locks of others: it must leave nothing behind then, or stand
 * being repeated. Between attempts the session is reset, and those who queue behind us have their turn.
 */
export async function retryOnLocks<T>(
  alteration: string,
  context: RunContext,
  attempt: () => Promise<T>,
  beforeNext: () => Promise<void> = () => resetSession(context, alteration),
): Promise<T> {
  if (context.isShared) return attempt();
  const start = now();
  for (let attempts = 1; ; attempts++) {
    try {
      return await attempt();
    } catch (error) {
      if (!isLockFailure(error) || context.abandon?.aborted) throw error;
      const pauseMs = Math.round(pauseAfter(attempts));
      const spentMs = now() - start;
      if (spentMs + pauseMs >= context.patience.deadlineMs) throw givenUp(error, attempts, spentMs, context);
      await beforeNext();
      context.report({ type: 'retrying', alteration, attempts, reason: reasonOf(error), pauseMs });
      await pauseBetween(pauseMs, context);
    }
  }
}

type Failure = AlterationFailedError | AlterationHalfDoneError;

function isLockFailure(error: unknown): error is Failure {
  if (!(error instanceof AlterationFailedError || error instanceof AlterationHalfDoneError)) return false;
  return isLockState(findDatabaseFailure(error.cause)?.sqlState);
}

/** lock_not_available and deadlock_detected. */
export function isLockState(sqlState: string | undefined): boolean {
  return sqlState === '55P03' || sqlState === '40P01';
}

/** Grows, and differs from one runner to the next. */
export function pauseAfter(attempts: number): number {
  return Math.min(firstPauseMs * 1.6 ** (attempts - 1), longestPauseMs) * (0.5 + Math.random());
}

function reasonOf({ database, message }: Failure): string {
  return database?.message ?? message;
}

function givenUp(error: Failure, attempts: number, spentMs: number, { patience }: RunContext): Failure {
  const { alteration, phase, place, database, cause } = error;
  const tries = attempts === 1 ? 'one attempt' : `${attempts} attempts`;
  const message = `"${alteration}" did not get the locks that it needs in ${tries} within ${renderDuration(spentMs)}: ${reasonOf(error)}.`;
  const advice =
    'End what holds the locks, or run again at a quieter time, or with a longer --lock-deadline or --lock-timeout.';
  const options = { alteration, phase, place, database, cause, blockers: patience.lastBlockers() };
  if (error instanceof AlterationFailedError) {
    return new AlterationFailedError(message, {
      ...options,
      hint: `${/^(?:It|All) was rolled back: [^.]*\./.exec(error.hint ?? '')?.[0] ?? 'It was rolled back.'} ${advice}`,
    });
  }
  const { statements, hint } = error;
  return new AlterationHalfDoneError(message, {
    ...options,
    hint: [hint, advice].filter(Boolean).join(' '),
    ...(statements ? { statements } : {}),
  });
}

async function pauseBetween(ms: number, { stop, abandon }: RunContext): Promise<void> {
  const signals = [stop, abandon].filter((signal) => signal !== undefined);
  await pause(ms, undefined, { signal: AbortSignal.any(signals) }).catch(() => undefined);
  if (stop?.aborted) throw stop.reason;
}
