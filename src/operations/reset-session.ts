import { AlterationFailedError } from '../core/errors.ts';
import type { RunContext } from './run-context.ts';

/** Makes the session as it began, for what runs next. Throws when the runner's lock is gone: others may alter now. */
export async function resetSession(
  { session }: Pick<RunContext, 'session'>,
  alteration: string,
): Promise<void> {
  if (await session.reset()) return;
  throw new AlterationFailedError(`"${alteration}" released the lock that keeps other instances out.`, {
    alteration,
    phase: 'up',
    hint: 'What it did stays. Let it call neither pg_advisory_unlock_all nor discard all, and run again.',
  });
}
