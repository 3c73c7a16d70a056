// A network between a contestant and the server: what either side sends arrives later, and round trips are counted.

import { once } from 'node:events';
import { type AddressInfo, createServer, connect as openSocket, type Socket } from 'node:net';

/** How often one side waited for the other. */
export interface Traffic {
  readonly connections: number;
  /** Round trips until the server was ready for the first query. */
  readonly connecting: number;
  /** Round trips after that: what the client sent until it was answered, however many messages it was. */
  readonly afterwards: number;
}

export interface DelayProxy {
  /** The URL with the proxy's address in it. */
  through(url: string): string;
  /** What went through since the last call. */
  takeTraffic(): Traffic;
}

/** Opens a proxy before the server of `target` for the time of `work`. @param delayMs In each direction. */
export async function withDelayProxy<T>(
  target: string,
  delayMs: number,
  work: (proxy: DelayProxy) => Promise<T>,
): Promise<T> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let traffic = newTraffic();
  const server = createServer((client) => {
    const upstream = openSocket(Number(port), hostname);
    traffic.connections += 1;
    for (const socket of [client, upstream]) {
      sockets.add(socket.setNoDelay(true));
      socket.once('close', () => sockets.delete(socket));
    }
    joinSockets(client, upstream, delayMs, () => traffic);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const own = (server.address() as AddressInfo).port; // no string: it listens on a port
  try {
    return await work({
      through: (url) => Object.assign(new URL(url), { port: String(own) }).href,
      takeTraffic() {
        const taken = traffic;
        traffic = newTraffic();
        return taken;
      },
    });
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

type Counter = { -readonly [K in keyof Traffic]: Traffic[K] };

function newTraffic(): Counter {
  return { connections: 0, connecting: 0, afterwards: 0 };
}

function joinSockets(client: Socket, upstream: Socket, delayMs: number, traffic: () => Counter): void {
  let asked = false;
  let ready = false;
  forward(client, upstream, delayMs, () => {
    asked = true;
  });
  forward(upstream, client, delayMs, (chunk) => {
    if (asked) traffic()[ready ? 'afterwards' : 'connecting'] += 1;
    asked = false;
    ready ||= isReadyForQuery(chunk);
  });
}

/** ReadyForQuery ends what the server sends at a time: its letter, its length, and whether a transaction is open. */
function isReadyForQuery(chunk: Buffer): boolean {
  return chunk.subarray(-6, -1).equals(Buffer.from([0x5a, 0, 0, 0, 5]));
}

/** Hands over what arrives, and the end, when the delay is over. */
function forward(from: Socket, to: Socket, delayMs: number, note: (chunk: Buffer) => void): void {
  const line = openDelayLine(delayMs);
  from.on('data', (chunk: Buffer) => {
    note(chunk);
    line.push(() => to.write(chunk));
  });
  from.once('end', () => line.push(() => to.end()));
  from.once('error', () => to.destroy());
  from.once('close', () => line.push(() => to.destroy()));
}

/** Timers are a millisecond late or more: as long as something is under way the event loop is asked again and again. */
function openDelayLine(delayMs: number) {
  const waiting: { readonly due: number; readonly deliver: () => void }[] = [];
  const deliverDue = () => {
    const now = performance.now();
    while (waiting[0] !== undefined && waiting[0].due <= now) waiting.shift()?.deliver();
    if (waiting.length > 0) setImmediate(deliverDue);
  };
  return {
    push(deliver: () => void) {
      waiting.push({ due: performance.now() + delayMs, deliver });
      if (waiting.length === 1) setImmediate(deliverDue);
    },
  };
}
