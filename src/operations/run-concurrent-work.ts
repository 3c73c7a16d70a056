import type { ConcurrentWork } from '../core/concurrent-work.ts';
import {
  type PrepareOptions,
  prepareConcurrentWork,
  verifyConcurrentWork,
} from '../postgres/concurrent-work.ts';
import type { OutsideSession } from '../postgres/locked-session.ts';

/**
 * Runs a statement that works concurrently: takes away what an earlier one has left unfinished, lets it wait for as
 * long as it takes, since it harms nobody, and looks whether it has done what it says. Undefined if it was done before.
 */
export async function runConcurrentWork<T>(
  work: ConcurrentWork,
  send: () => Promise<T>,
  { connection, withoutLockTimeout }: OutsideSession,
  options: PrepareOptions,
): Promise<T | undefined> {
  const step = await withoutLockTimeout(() => prepareConcurrentWork(connection, work, options));
  if (step.kind === 'done') return undefined;
  let result: T | undefined;
  if (step.kind === 'run-instead') await connection.query(step.query);
  // The last step of a detachment locks others out: it may not wait for long, and is brought to its end in a retry.
  else if (work.kind === 'detach-partition') result = await send();
  else result = await withoutLockTimeout(send);
  await verifyConcurrentWork(connection, work);
  return result;
}
