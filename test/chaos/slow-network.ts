import { once } from 'node:events';
import { createServer, connect as openSocket, type Socket } from 'node:net';

/** A way to a port of this machine on which every byte is under way for a while, in both directions. */
export interface SlowNetwork {
  readonly port: number;
  /** Breaks all connections without a word; tells whether there were any. */
  readonly cut: () => boolean;
  readonly close: () => Promise<void>;
}

/**
 * Opens one. What is under way when an end dies still arrives, as on a real network: the server finishes what its
 * client never hears of.
 */
export async function openSlowNetwork(target: number, delayMs: number): Promise<SlowNetwork> {
  const sockets = new Set<Socket>();
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = openSocket({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    for (const socket of [near, far]) track(socket);
    forward(near, far, delayMs);
    forward(far, near, delayMs);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('a listening socket has no port');
  const cut = () => {
    const some = sockets.size > 0;
    for (const socket of sockets) socket.resetAndDestroy();
    return some;
  };
  return {
    port: address.port,
    cut,
    close: async () => {
      server.close();
      cut();
      await once(server, 'close');
    },
  };
}

function forward(from: Socket, to: Socket, delayMs: number): void {
  // Timers of one length run in the order in which they were set: the bytes stay in order.
  const later = (act: () => void) => setTimeout(() => !to.destroyed && act(), delayMs);
  from.on('data', (chunk) => later(() => to.write(chunk)));
  from.on('end', () => later(() => to.end()));
  from.on('close', (hadError) => hadError && later(() => to.destroy()));
}
