// What a client and the server say to each other, message by message.

import { once } from 'node:events';
import { type AddressInfo, createServer, connect as openSocket, type Socket } from 'node:net';

/** What went over the wire since the last time that somebody asked. */
export interface Conversation {
  readonly connections: number;
  /**
   * How often a client, once it was connected, sent something after it had been answered: the rest of a deploy's time
   * on a slow network. However many messages are sent together, they are one. Neither start-up and authentication nor
   * the farewell count.
   */
  readonly roundTrips: number;
  /** Texts of the queries, in order. */
  readonly queries: readonly string[];
}

export interface Wire {
  /** The URL with the wire's address in it. */
  readonly through: (url: string) => string;
  readonly takeConversation: () => Conversation;
}

/**
 * An answer is handed over when its client has been silent for so long: what is sent without waiting for it is seen
 * before it, however fast the server is. So the numbers are those of the program, not those of the machine.
 */
const silenceMs = 5;

/** Puts a wire that is listened to between clients and the server, for the time of `work`. */
export async function withWire<T>(serverUrl: string, work: (wire: Wire) => Promise<T>): Promise<T> {
  const { hostname, port } = new URL(serverUrl);
  const sockets = new Set<Socket>();
  let conversation = newConversation();
  const listener = createServer((client) => {
    const server = openSocket(Number(port), hostname);
    for (const socket of [client, server]) {
      sockets.add(socket.setNoDelay(true));
      socket.once('close', () => sockets.delete(socket));
    }
    conversation.connections += 1;
    joinSockets(
      client,
      server,
      listen(() => conversation),
    );
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const own = (listener.address() as AddressInfo).port; // no string: it listens on a port
  try {
    return await work({
      through: (url) => Object.assign(new URL(url), { hostname: '127.0.0.1', port: String(own) }).href,
      takeConversation() {
        const taken = conversation;
        conversation = newConversation();
        return taken;
      },
    });
  } finally {
    for (const socket of sockets) socket.destroy();
    listener.close();
  }
}

interface Counted {
  connections: number;
  roundTrips: number;
  readonly queries: string[];
}

function newConversation(): Counted {
  return { connections: 0, roundTrips: 0, queries: [] };
}

interface Ears {
  readonly fromClient: (chunk: Buffer) => void;
  readonly fromServer: (chunk: Buffer) => void;
}

function joinSockets(client: Socket, server: Socket, ears: Ears): void {
  const held: Buffer[] = [];
  const handOver = () => {
    const chunk = Buffer.concat(held.splice(0));
    if (chunk.length === 0) return;
    ears.fromServer(chunk);
    client.write(chunk);
  };
  let silence: NodeJS.Timeout | undefined;
  const waitForSilence = () => {
    clearTimeout(silence);
    silence = setTimeout(handOver, silenceMs);
  };
  client.on('data', (chunk: Buffer) => {
    ears.fromClient(chunk);
    server.write(chunk);
    if (held.length > 0) waitForSilence();
  });
  server.on('data', (chunk: Buffer) => {
    held.push(chunk);
    if (held.length === 1) waitForSilence();
  });
  client.once('close', () => server.destroy());
  server.once('close', () => {
    handOver();
    client.end();
  });
  for (const socket of [client, server]) socket.on('error', () => socket.destroy());
}

/** Follows one connection. */
function listen(conversation: () => Counted): Ears {
  let connected = false;
  let answered = false;
  const splitClient = openSplitter('client');
  const splitServer = openSplitter('server');
  return {
    fromClient(chunk) {
      for (const { type, body } of splitClient(chunk)) {
        if (type === startUp || type === 'X') continue;
        const text = queryIn(type, body);
        if (text !== undefined) conversation().queries.push(text);
        if (connected && answered) conversation().roundTrips += 1;
        answered = false;
      }
    },
    fromServer(chunk) {
      for (const { type } of splitServer(chunk)) {
        connected ||= type === 'Z'; // ready for a query
        answered ||= !unasked.has(type);
      }
    },
  };
}

/** Messages that answer nothing: a notification, a notice, a parameter that has changed. */
const unasked = new Set(['A', 'N', 'S']);

interface Message {
  /** Its letter; start-up messages have none. */
  readonly type: string;
  readonly body: Buffer;
}

const startUp = '';
/** Protocol 3.0, and a request to cancel; a connection that is encrypted could not be listened to. */
const startUpCodes = new Set([196_608, 80_877_102]);

/** Takes what arrives apart into messages; what is not complete is kept for the next time. */
function openSplitter(side: 'client' | 'server'): (chunk: Buffer) => readonly Message[] {
  let rest: Buffer = Buffer.alloc(0);
  let hasLetter = side === 'server';
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    const messages: Message[] = [];
    for (;;) {
      const start = hasLetter ? 1 : 0;
      if (rest.length < start + 4) return messages;
      const end = start + rest.readInt32BE(start);
      if (rest.length < end) return messages;
      const message = { type: rest.toString('latin1', 0, start), body: rest.subarray(start + 4, end) };
      if (!hasLetter) refuseEncryption(message.body);
      hasLetter = true;
      messages.push(message);
      rest = rest.subarray(end);
    }
  };
}

function refuseEncryption(body: Buffer): void {
  const code = body.readInt32BE(0);
  if (!startUpCodes.has(code)) throw new Error(`The client wants what the wire cannot follow: ${code}.`);
}

/** The text of a simple query, or of a statement that is parsed. */
function queryIn(type: string, body: Buffer): string | undefined {
  if (type !== 'Q' && type !== 'P') return undefined;
  const [first = '', second = ''] = body.toString('utf8').split('\0', 2);
  return type === 'Q' ? first : second;
}
