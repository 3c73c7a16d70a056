import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { StoppedError } from '../core/errors.ts';
import { isInBatch } from './batch.ts';
import { socketOf } from './socket.ts';
import { waitAtMost } from './wait-at-most.ts';

export interface StopSignals {
  /** When aborted before the work begins, its reason is thrown at once. */
  readonly stop?: AbortSignal | undefined;
  /** When aborted, the statement under way is cancelled; by a StoppedError, that error is thrown. */
  readonly abandon?: AbortSignal | undefined;
}

/** Pauses; a signal ends the pause, and its reason is thrown. */
export async function pauseUnlessStopped(ms: number, { stop, abandon }: StopSignals): Promise<void> {
  const signals = [stop, abandon].filter((signal) => signal !== undefined);
  const signal = AbortSignal.any(signals);
  await pause(ms, undefined, { signal }).catch(() => {
    throw signal.reason;
  });
}

/** How far a session is. */
export type Stage = 'connecting' | 'working' | 'over';

/** Ends what is under way when a signal says so: connecting at once, a statement by cancelling it. */
export function watchSignals(
  { stop, abandon }: StopSignals,
  { client, stage }: { readonly client: pg.Client | undefined; readonly stage: () => Stage },
) {
  let stopped: Error | undefined;
  const over = new AbortController();
  const requests: Promise<unknown>[] = [];
  const onStop = () => {
    if (stage() !== 'connecting') return;
    stopped = reasonOf(stop);
    destroySocket(client);
  };
  const onAbandon = () => {
    const isStop = abandon?.reason instanceof StoppedError;
    if (isStop) stopped = abandon.reason;
    if (stage() === 'connecting') destroySocket(client);
    // A fault of the script dooms its statement too; but only a stop may cost the session.
    else void cancelStatement(client, requests, over.signal, isStop ? 'cut' : 'leave');
  };
  if (stop?.aborted) onStop();
  if (abandon?.aborted) onAbandon();
  stop?.addEventListener('abort', onStop);
  abandon?.addEventListener('abort', onAbandon);
  return {
    throwIfStopped: () => {
      if (stopped) throw stopped;
    },
    /** PgBouncer 1.18 and 1.19.0 end themselves when a cancel request is hung up on before it is answered. */
    release: async () => {
      over.abort('over');
      stop?.removeEventListener('abort', onStop);
      abandon?.removeEventListener('abort', onAbandon);
      if (requests.length > 0) await waitAtMost(Promise.all(requests), answerMs);
    },
  };
}

function reasonOf(signal: AbortSignal | undefined): Error {
  return signal?.reason instanceof Error ? signal.reason : new StoppedError('a request to stop');
}

function destroySocket(client: pg.Client | undefined): void {
  if (client) socketOf(client)?.destroy();
}

const cancelEveryMs = 500;
const cancelAttempts = 4;
const answerMs = 500;

/** A statement that is cancelled is rolled back by its own session, which can then say good-bye. */
async function cancelStatement(
  client: pg.Client | undefined,
  requests: Promise<unknown>[],
  over: AbortSignal,
  last: 'cut' | 'leave',
): Promise<void> {
  if (!client) return;
  const { sendCancelRequest } = await import('./cancel-request.ts'); // with what it needs for TLS
  const rest = () => pause(cancelEveryMs, undefined, { signal: over }).catch(() => undefined);
  // After a fault the rollback is on its way where no statement is: cancelled, it would tell of that instead.
  if (last === 'leave' && !isInBatch(client)) await rest();
  for (let attempt = 0; attempt < cancelAttempts && !over.aborted; attempt++) {
    requests.push(sendCancelRequest(client)); // what comes after the cancelled statement may need one too
    await rest();
  }
  if (last === 'cut' && !over.aborted) destroySocket(client);
}
