import type { Socket } from 'node:net';
import type pg from 'pg';
import { socketOf } from './socket.ts';

const lookEveryMs = 5_000;

/**
 * Ends the connection when what was sent over it is not acknowledged for so long. The system looks for a lost peer only
 * while nothing is under way to it; what is, it sends again for a quarter of an hour. Works where `/proc` tells (Linux).
 *
 * @param limitMs 0: it is not looked.
 * @param underWay Tells one query from the next; undefined while there is none.
 */
export function watchSilence(
  client: pg.Client,
  limitMs: number,
  underWay: () => number | undefined,
): { readonly end: () => void } {
  const everyMs = Math.min(lookEveryMs, limitMs / 5);
  let watched: number | undefined;
  let arrived: number | undefined;
  let unacknowledgedMs = 0;
  const look = async () => {
    const current = underWay();
    if (current !== watched) {
      watched = current; // sent a moment ago perhaps: the next look counts
      unacknowledgedMs = 0;
      return;
    }
    const socket = socketOf(client);
    if (current === undefined || current === arrived || !socket) return;
    if (!(await isUnacknowledged(socket))) {
      arrived = current; // from here on it is the server's to answer, and the system's own probes are enough
      return;
    }
    unacknowledgedMs += everyMs;
    if (unacknowledgedMs < limitMs || underWay() !== current) return;
    socket.destroy(new Error('Connection terminated: the server does not answer any more'));
  };
  const timer = limitMs > 0 ? setInterval(() => void look(), everyMs).unref() : undefined;
  return { end: () => clearInterval(timer) };
}

/** Whether the kernel still holds data of the socket that the other side has not acknowledged. */
async function isUnacknowledged({
  localPort,
  remotePort,
}: Pick<Socket, 'localPort' | 'remotePort'>): Promise<boolean> {
  if (!localPort || !remotePort) return false;
  const { readFile } = await import('node:fs/promises');
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
