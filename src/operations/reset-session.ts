import { AlterationFailedError, SessionLostError } from '../core/errors.ts';
import { findMessage, isSessionLoss } from '../postgres/database-failure.ts';
import type { RunContext } from './run-context.ts';

/** Makes the session as it began, for what runs next. Throws when the runner's lock is gone: others may alter now. */
export async function resetSession(
  { locked, session, report }: Pick<RunContext, 'locked' | 'session' | 'report'>,
  alteration: string,
): Promise<void> {
  const { lockHeld, leaks } = await locked.reset().catch((error: unknown) => {
    throw session.lost.aborted || isSessionLoss(error) ? describeLoss(error, alteration) : error;
  });
  if (leaks.length > 0) report({ type: 'leaked', alteration, leaks });
  if (!lockHeld) throw lockReleased(`"${alteration}"`, alteration, 'What it has committed stays.');
}

/** An alteration has let others in. */
export function lockReleased(who: string, alteration: string, fate: string): AlterationFailedError {
  return new AlterationFailedError(`${who} released the lock that keeps other instances out.`, {
    alteration,
    phase: 'up',
    hint: `${fate} Let it call neither pg_advisory_unlock_all nor discard all, and run again.`,
  });
}

function describeLoss(error: unknown, alteration: string): SessionLostError {
  const reason = findMessage(error).replace(/\.$/, '');
  return new SessionLostError(`The database session was lost at "${alteration}": ${reason}.`, {
    hint: 'What is applied, its row tells. Run it again: it goes on from there.',
    cause: error,
  });
}
