import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { describe, expect, onTestFinished, test } from 'vitest';
import { sendCancelRequest } from '../../src/postgres/cancel-request.ts';
import { withEmbeddedServer } from '../../src/postgres/embedded-server.ts';
import { createDatabase, runSql } from '../support/database.ts';
import { failureOf } from '../support/failure-of.ts';
import { waitUntil } from '../support/wait-until.ts';
import { whenOver } from '../support/when-over.ts';

const database = await createDatabase();
const server = new URL(database.url);

/** A client with a statement that takes longer than any test, and the outcome of that. */
async function startStatement(config: pg.ClientConfig, url = database.url) {
  const client = new pg.Client({ ...urlToConfig(url), ...config });
  client.on('error', () => undefined); // the other end is cut when the test is over
  await client.connect();
  onTestFinished(() => client.end());
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  const failure = failureOf(client.query('select pg_sleep(600)'));
  await waitUntil('the statement is under way', async () => {
    const sleeping = `select from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'`;
    return (await runSql(url, sleeping, [rows[0]?.pid])).length > 0;
  });
  return { client, failure };
}

function urlToConfig(url: string): pg.ClientConfig {
  const { hostname, port, username, password, pathname } = new URL(url);
  return {
    host: hostname,
    port: Number(port),
    user: username,
    password: decodeURIComponent(password),
    database: pathname.slice(1),
  };
}

/** Listens at a path, or at a free port, and does with each connection what is said for its number, from 0. */
async function listen(answer: (socket: Socket, index: number) => void, path?: string) {
  const sockets: Socket[] = [];
  const listener = createServer((socket) => {
    socket.on('error', () => undefined);
    answer(socket, sockets.push(socket) - 1);
  });
  listener.listen(path ?? { port: 0, host: '127.0.0.1' });
  await once(listener, 'listening');
  const close = () => {
    listener.close();
    for (const socket of sockets) socket.destroy();
  };
  onTestFinished(close);
  const address = listener.address();
  return { listener, sockets, port: typeof address === 'object' && address ? address.port : 0 };
}

/** Passes everything on to a server. */
function forward(socket: Socket, { hostname, port }: URL): void {
  const upstream = connect(Number(port), hostname);
  upstream.on('error', () => socket.destroy());
  socket.on('close', () => upstream.destroy());
  socket.pipe(upstream).pipe(socket);
}

const cancelled = { code: '57014' };

describe('a cancel request', () => {
  test('ends the statement under way, and the session goes on', async () => {
    const { client, failure } = await startStatement({});

    const sent = await sendCancelRequest(client);

    expect(sent).toBe(true);
    expect(await failure).toMatchObject(cancelled);
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  });

  test('is done with when it is answered: the next statement is not cancelled', async () => {
    const { client, failure } = await startStatement({});
    await sendCancelRequest(client);
    await failure;

    const { rows } = await client.query('select pg_sleep(0.1), 1 as one');

    expect(rows).toMatchObject([{ one: 1 }]);
  });

  test('goes through a Unix socket as the client does', async () => {
    const host = await mkdtemp(join(tmpdir(), 'alteration-'));
    onTestFinished(() => rm(host, { recursive: true }));
    await listen((socket) => forward(socket, server), join(host, '.s.PGSQL.5678'));
    const { client, failure } = await startStatement({ host, port: 5678 });

    const sent = await sendCancelRequest(client);

    expect(sent).toBe(true);
    expect(await failure).toMatchObject(cancelled);
  });

  test('is not sent where nothing listens any more', async () => {
    const { listener, port } = await listen((socket) => forward(socket, server));
    const { client } = await startStatement({ host: '127.0.0.1', port });
    listener.close();

    expect(await sendCancelRequest(client)).toBe(false);
  });

  test('is given up in a network that swallows it', async () => {
    const { port } = await listen((socket, index) => {
      if (index === 0) forward(socket, server);
    });
    const { client } = await startStatement({ host: '127.0.0.1', port });

    expect(await sendCancelRequest(client)).toBe(false);
  });

  test('does not keep the process alive', async () => {
    const arrived = Promise.withResolvers<void>();
    const { port } = await listen((socket, index) => {
      if (index === 0) return forward(socket, server);
      socket.unref().once('data', () => arrived.resolve());
    });
    const { client } = await startStatement({ host: '127.0.0.1', port });
    const before = holdersOfTheProcess();

    const sending = sendCancelRequest(client);
    await arrived.promise;
    const during = holdersOfTheProcess();

    expect(during).toEqual(before);
    expect(await sending).toBe(false);
  });

  test('is not sent for a client that is not connected', async () => {
    expect(await sendCancelRequest(new pg.Client(database.url))).toBe(false);
  });
});

function holdersOfTheProcess(): string[] {
  return process
    .getActiveResourcesInfo()
    .filter((name) => /^TCP|^Pipe|^TLS/.test(name))
    .sort();
}

describe('a cancel request to a server with TLS', async () => {
  const certificate = createCertificate();
  const url = await serveTls(certificate);
  const requests = { tls: Buffer.from('04d2162f', 'hex'), cancel: Buffer.from('04d2162e', 'hex') };

  /** A proxy before that server, and what each connection has sent through it. */
  async function record(answer: (socket: Socket, index: number) => void) {
    const sent: Buffer[] = [];
    const { port } = await listen((socket, index) => {
      sent[index] = Buffer.of();
      socket.on('data', (data) => {
        sent[index] = Buffer.concat([sent[index] ?? Buffer.of(), data]);
      });
      answer(socket, index);
    });
    return { port, sent };
  }

  test('goes encrypted, with the client’s own options', async () => {
    const { port, sent } = await record((socket) => forward(socket, new URL(url)));
    const ssl = { ca: certificate.certificate };
    const { client, failure } = await startStatement({ host: '127.0.0.1', port, ssl }, url);

    expect(await sendCancelRequest(client)).toBe(true);

    expect(await failure).toMatchObject(cancelled);
    expect(sent[1]?.indexOf(requests.tls)).toBe(4);
    expect(sent[1]?.includes(requests.cancel)).toBe(false);
  });

  test('is not sent to a server whose certificate the client would not take', async () => {
    const other = createCertificate();
    const strangerUrl = await serveTls(other);
    const { port, sent } = await record((socket, index) =>
      forward(socket, new URL(index === 0 ? url : strangerUrl)),
    );
    const ssl = { ca: certificate.certificate };
    const { client } = await startStatement({ host: '127.0.0.1', port, ssl }, url);

    expect(await sendCancelRequest(client)).toBe(false);

    expect(sent[1]?.indexOf(requests.tls)).toBe(4);
  });

  test('is not sent where the connection breaks in the handshake', async () => {
    const { port } = await listen((socket, index) => {
      if (index === 0) return forward(socket, new URL(url));
      socket.once('data', () => {
        socket.write('S');
        socket.once('data', () => socket.resetAndDestroy());
      });
    });
    const ssl = { ca: certificate.certificate };
    const { client } = await startStatement({ host: '127.0.0.1', port, ssl }, url);

    expect(await sendCancelRequest(client)).toBe(false);
  });

  test('goes in the clear where the server refuses TLS for it', async () => {
    const { port, sent } = await record((socket, index) => {
      if (index === 0) return forward(socket, new URL(url));
      socket.once('data', () => {
        socket.write('N');
        forward(socket, new URL(url));
      });
    });
    const ssl = { ca: certificate.certificate };
    const { client, failure } = await startStatement({ host: '127.0.0.1', port, ssl }, url);

    expect(await sendCancelRequest(client)).toBe(true);

    expect(await failure).toMatchObject(cancelled);
    expect(sent[1]?.indexOf(requests.cancel)).toBe(12);
  });
});

interface Certificate {
  readonly key: string;
  readonly certificate: string;
}

/** Starts a server that offers TLS; it runs until the test, or the file, is over. */
async function serveTls({ key, certificate }: Certificate): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'alteration-tls-server-'));
  const started = Promise.withResolvers<string>();
  const over = Promise.withResolvers<void>();
  const served = withEmbeddedServer(folder, ({ connectionString }) => {
    started.resolve(connectionString);
    return over.promise;
  });
  served.catch(started.reject);
  whenOver(async () => {
    over.resolve();
    await served;
    await rm(folder, { recursive: true, force: true });
  });
  const url = await started.promise;
  await runSql(url, `${copyTo('server.key', key)}; ${copyTo('server.crt', certificate)}`);
  await runSql(url, 'alter system set ssl = on');
  await runSql(url, 'select pg_reload_conf()');
  await waitUntil('the server offers TLS', async () => {
    const [row] = await runSql<{ ssl: string }>(url, 'show ssl');
    return row?.ssl === 'on';
  });
  return url;
}

/** Writes a file into the server's folder as the server's user, who alone may read it. */
function copyTo(file: string, text: string): string {
  const lines = `select line from unnest(string_to_array('${text.trim()}', e'\\n')) as line`;
  return `copy (${lines}) to program 'umask 077 && cat > ${file}'`;
}

/** A certificate for 127.0.0.1 that is its own authority, made of DER by hand: Node can only read them. */
function createCertificate(): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ecdsaWithSha256 = der(0x30, oid('2a8648ce3d040302'));
  const name = der(0x30, der(0x31, der(0x30, oid('550403'), der(0x0c, Buffer.from('alteration test')))));
  const date = (text: string) => der(0x18, Buffer.from(text));
  const addresses = der(0x30, der(0x87, Buffer.of(127, 0, 0, 1)));
  const body = der(
    0x30,
    der(0xa0, der(0x02, Buffer.of(2))), // version 3
    der(0x02, Buffer.of(1)), // serial number
    ecdsaWithSha256,
    name,
    der(0x30, date('20200101000000Z'), date('21200101000000Z')),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, der(0x30, der(0x30, oid('551d11'), der(0x04, addresses)))), // subject alternative names
  );
  const signed = der(0x30, body, ecdsaWithSha256, der(0x03, Buffer.of(0), sign('sha256', body, privateKey)));
  return { key: pem(privateKey), certificate: pemOf('CERTIFICATE', signed) };
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size =
    length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.of(tag, ...size), content]);
}

const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));

const pem = (key: KeyObject) => key.export({ type: 'pkcs8', format: 'pem' }).toString();

function pemOf(label: string, content: Buffer): string {
  const lines = content.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
