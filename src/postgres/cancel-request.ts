import { once } from 'node:events';
import { connect, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import type pg from 'pg';

const timeoutMs = 2_000;
// PostgreSQL's codes for what is asked instead of a protocol version.
const cancelRequest = 80_877_102;
const sslRequest = 80_877_103;

/**
 * Has the server cancel the statement that the client has under way, which then fails with SQLSTATE 57014. It takes
 * a connection of its own for that, which does not keep the process alive. False when the server could not be
 * reached, or has not taken the request within two seconds.
 */
export async function sendCancelRequest(client: pg.Client): Promise<boolean> {
  const connected = client as unknown as ConnectedClient; // node-postgres's types do not tell it all
  const { processID, secretKey } = connected;
  if (processID === null || secretKey === null) return false; // it is not connected yet
  const socket = openSocket(connected);
  try {
    const signal = AbortSignal.timeout(timeoutMs);
    await once(socket, 'connect', { signal });
    const secured = connected.ssl ? await secure(socket, connected, signal) : socket;
    secured.write(message(cancelRequest, processID, secretKey));
    // The server hangs up when it has done it: what is sent to it after that is not cancelled instead.
    await once(secured.resume(), 'close', { signal });
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** What node-postgres's client has. */
interface ConnectedClient {
  readonly host: string;
  readonly port: number;
  readonly ssl: boolean | ConnectionOptions;
  readonly sslNegotiation: string;
  readonly processID: number | null;
  readonly secretKey: number | null;
  readonly connection: { readonly stream: Partial<Socket> };
}

/** Connects to where the client is connected to: another address of its host may be another server. */
function openSocket({ host, port, connection: { stream } }: ConnectedClient): Socket {
  const socket = host.startsWith('/')
    ? connect(`${host}/.s.PGSQL.${port}`)
    : connect(stream.remotePort ?? port, stream.remoteAddress ?? host);
  return aside(socket);
}

/** Neither keeps the process alive nor, by an error that comes when nobody waits for it, ends it. */
function aside<T extends Socket>(socket: T): T {
  return socket.unref().on('error', () => undefined);
}

/** Goes over to TLS; with a server that wants none for this it stays in the clear, as libpq does. */
async function secure(socket: Socket, client: ConnectedClient, signal: AbortSignal): Promise<Socket> {
  if (client.sslNegotiation !== 'direct') {
    socket.write(message(sslRequest));
    const [answer]: unknown[] = await once(socket, 'data', { signal });
    if (String(answer) === 'N') return socket;
    if (String(answer) !== 'S') throw new Error('this is no answer to a request for TLS');
  }
  const secured = aside(connectTls(tlsOptions(socket, client)));
  await once(secured, 'secureConnect', { signal });
  return secured;
}

/** The options that node-postgres makes of the client's. */
function tlsOptions(socket: Socket, { host, ssl, sslNegotiation }: ConnectedClient): ConnectionOptions {
  const own = typeof ssl === 'object' ? ssl : {};
  return {
    socket,
    host,
    ...own,
    ...('key' in own ? { key: own.key } : {}), // the client has made it one that is not enumerated
    ...(sslNegotiation === 'direct' ? { ALPNProtocols: ['postgresql'] } : {}),
    ...(isIP(host) === 0 ? { servername: host } : {}),
  };
}

/** A message of the kind that begins a connection: its length in bytes and then numbers of 32 bits. */
function message(...numbers: readonly number[]): Buffer {
  const buffer = Buffer.alloc(4 + 4 * numbers.length);
  for (const [index, number] of [buffer.length, ...numbers].entries()) buffer.writeInt32BE(number, 4 * index);
  return buffer;
}
