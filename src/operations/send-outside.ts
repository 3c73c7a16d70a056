import { UsageError } from '../core/errors.ts';
import { findConcurrentWork } from '../folder/find-concurrent-work.ts';
import { findSessionState } from '../folder/session-state.ts';
import type { ConcurrentWait } from '../postgres/concurrent-work.ts';
import type { OutsideSession } from '../postgres/locked-session.ts';
import { runConcurrentWork } from './run-concurrent-work.ts';
import type { RunContext } from './run-context.ts';

/** Sends a query of a script outside a transaction: while others are kept out, and with what `concurrently` asks for. */
export async function sendOutside<T>(
  text: string,
  send: () => Promise<T>,
  outside: OutsideSession,
  alteration: string,
  { abandon: signal, report }: Pick<RunContext, 'abandon' | 'report'>,
): Promise<T | undefined> {
  const onWait = ({ blockers }: ConcurrentWait) => report({ type: 'blocked', alteration, blockers });
  await outside.check();
  const work = await findConcurrentWork(text);
  const result = work
    ? await runConcurrentWork(work, send, outside, { resumed: false, signal, onWait })
    : await send();
  await outside.check();
  return result;
}

/** Behind a transaction pooler the next query may run on another connection, and somebody else's on this one. */
export function refuseSessionState(text: string): void {
  const found = findSessionState(text);
  if (found === undefined) return;
  throw new UsageError(`"${found}" outside a transaction does not hold behind a transaction pooler.`, {
    hint: 'Use connection.transaction(…) with "set local", or give a direct connection to the server with --direct-url (DIRECT_DB_URL).',
  });
}
