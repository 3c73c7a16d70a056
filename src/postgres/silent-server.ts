import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';

const attemptMs = 5_000;
const silent = ['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN', 'ABORT_ERR'];

/**
 * Ends the connection when nothing answers at the server's address for so long after a query was sent. The system looks
 * for a lost peer only while nothing is under way to it; what is, it sends again for a quarter of an hour.
 */
export async function watchSilence(client: pg.Client, limitMs: number, over: AbortSignal): Promise<void> {
  const { stream } = (client as unknown as { connection: { stream: import('node:net').Socket } }).connection;
  const start = performance.now();
  try {
    for (;;) {
      await pause(Math.min(attemptMs, limitMs / 5), undefined, { signal: over, ref: false });
      const { remoteAddress, remotePort } = stream;
      if (!remoteAddress || !remotePort || (await answers(remoteAddress, remotePort))) return;
      if (over.aborted || performance.now() - start < limitMs) continue;
      stream.destroy(new Error('Connection terminated: the server does not answer any more'));
      return;
    }
  } catch {
    // the query is over
  }
}

/** Whether there is a machine at the address, be it one that refuses. */
async function answers(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port }).unref();
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(attemptMs) });
    return true;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    return !silent.includes(code);
  } finally {
    socket.destroy();
  }
}
