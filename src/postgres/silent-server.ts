import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { socketOf } from './connect.ts';

const lookEveryMs = 5_000;

/**
 * Ends the connection when what was sent over it is not acknowledged for so long. The system looks for a lost peer only
 * while nothing is under way to it; what is, it sends again for a quarter of an hour. Works where `/proc` tells (Linux).
 */
export async function watchSilence(client: pg.Client, limitMs: number, over: AbortSignal): Promise<void> {
  let unacknowledgedMs = 0;
  const everyMs = Math.min(lookEveryMs, limitMs / 5);
  try {
    for (;;) {
      await pause(everyMs, undefined, { signal: over, ref: false });
      const socket = socketOf(client);
      // What has arrived once is the server's to answer; from then on the system's own probes are enough.
      if (!socket || !(await isUnacknowledged(socket)) || over.aborted) return;
      unacknowledgedMs += everyMs;
      if (unacknowledgedMs < limitMs) continue;
      socket.destroy(new Error('Connection terminated: the server does not answer any more'));
      return;
    }
  } catch {
    // the query is over
  }
}

/** Whether the kernel still holds data of the socket that the other side has not acknowledged. */
async function isUnacknowledged({
  localPort,
  remotePort,
}: Pick<Socket, 'localPort' | 'remotePort'>): Promise<boolean> {
  if (!localPort || !remotePort) return false;
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    const text = await readFile(table, 'utf8').catch(() => '');
    for (const line of text.split('\n')) {
      const [, local = '', remote = '', , queues = ''] = line.trim().split(/\s+/);
      if (portOf(local) === localPort && portOf(remote) === remotePort) return /^0*[1-9A-F]/i.test(queues);
    }
  }
  return false;
}

/** Of `0100007F:1538`. */
function portOf(address: string): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16);
}
