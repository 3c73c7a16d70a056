// The server that all of them share for the time of a run, and its databases.

import { statfs } from 'node:fs/promises';
import pg from 'pg';
import { withEmbeddedServer } from '../src/postgres/embedded-server.ts';

export interface ServerFacts {
  readonly version: string;
  readonly fsync: string;
  readonly synchronousCommit: string;
  /** Of its folder. */
  readonly fileSystem: string;
}

export interface Server {
  /** Of a database in which nothing happens. */
  readonly url: string;
  readonly facts: ServerFacts;
  /**
   * A database of that name, empty or with all that the template has; one that is there already is dropped. Returns its
   * URL.
   */
  createDatabase(name: string, template?: string): Promise<string>;
  /** Does work in the database that is not measured: what is committed in it may be written later. */
  hurry<T>(name: string, work: () => Promise<T>): Promise<T>;
  dropDatabase(name: string): Promise<void>;
  /** Writes out what earlier work has left to write, so that it is not part of what is measured next. */
  settle(): Promise<void>;
}

/** Starts a server in the folder, with the settings that PostgreSQL comes with, for the time of `work`. */
export async function withServer<T>(folder: string, work: (server: Server) => Promise<T>): Promise<T> {
  return withEmbeddedServer(folder, ({ connectionString }) =>
    withClient(connectionString, async (admin) => {
      const drop = (name: string) =>
        admin.query(`drop database if exists ${pg.escapeIdentifier(name)} with (force)`);
      return work({
        url: connectionString,
        facts: await readFacts(admin, folder),
        async createDatabase(name, template = 'template1') {
          await drop(name);
          await admin.query(
            `create database ${pg.escapeIdentifier(name)} template ${pg.escapeIdentifier(template)}`,
          );
          return Object.assign(new URL(connectionString), { pathname: `/${name}` }).href;
        },
        async hurry(name, done) {
          const database = `alter database ${pg.escapeIdentifier(name)}`;
          await admin.query(`${database} set synchronous_commit = off`);
          const result = await done();
          await admin.query(`${database} reset synchronous_commit`);
          return result;
        },
        async dropDatabase(name) {
          await drop(name);
        },
        async settle() {
          await admin.query('checkpoint');
        },
      });
    }),
  );
}

async function readFacts(admin: pg.Client, folder: string): Promise<ServerFacts> {
  const { rows } = await admin.query<Omit<ServerFacts, 'fileSystem'>>(`
    select current_setting('server_version') as version, current_setting('fsync') as fsync,
      current_setting('synchronous_commit') as "synchronousCommit"
  `);
  const [facts] = rows;
  if (facts?.fsync !== 'on')
    throw new Error('The server does not sync what it writes: nothing can be measured on it.');
  return { ...facts, fileSystem: await nameFileSystem(folder) };
}

async function nameFileSystem(folder: string): Promise<string> {
  const { type } = await statfs(folder);
  const names: Readonly<Record<number, string>> = {
    61267: 'ext4',
    16914836: 'tmpfs',
    1481003842: 'xfs',
    2435016766: 'btrfs',
    2035054128: 'overlayfs',
  };
  return names[type] ?? `file system 0x${type.toString(16)}`;
}

export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
