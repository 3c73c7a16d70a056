import { once } from 'node:events';
import { chown, stat, writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { readCatalog } from '../support/catalog.ts';
import { startCli } from '../support/cli.ts';
import { createRole } from '../support/create-role.ts';
import { createDatabase, runSql } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder, writeFiles } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { startPrivateServer } from '../support/private-server.ts';

const { baseline, check, deploy, list, rollback, status } = library;
const database = await createDatabase();
const { query, url, name } = database;

beforeEach(() => emptyDatabase(database));

const files = {
  '1.0.0-1-first.up.sql': 'create table first (id int); insert into first values (1);',
  '1.0.0-1-first.down.sql': 'drop table first;',
};
const second = { '1.1.0-2-second.sql': 'create table second (id int);' };
/** Of each kind one; nothing of them may be run. */
const pending = {
  ...second,
  '1.1.0-3-before.ts': `import { sql } from 'slonik';
export default {
  beforeUp: async (connection) => { await connection.query(sql.unsafe\`create table third ()\`); },
  up: async () => undefined,
};`,
  '1.1.0-4-outside.sql': '-- alteration: no-transaction\ncreate table fourth ();\nvacuum;',
};

/** All that somebody defined in the database, and how many rows its tables have. */
async function readAll(source = url): Promise<readonly string[]> {
  const client = new pg.Client({ connectionString: source });
  await client.connect();
  try {
    const lines = await readCatalog(client);
    for (const table of ['public.first', 'public.alteration_history']) {
      const { rows } = await client.query(`select to_regclass($1) is not null as found`, [table]);
      if (rows[0].found) lines.push(`${table}: ${(await client.query(`table ${table}`)).rows.length}`);
    }
    return lines;
  } finally {
    await client.end();
  }
}

/** Everything that would change the database, and the error that each ends with. */
async function refusalsOf(source: string, folder: string): Promise<readonly unknown[]> {
  const options = { database: source, folder, connectWaitMs: 0 };
  return [
    await failureOf(deploy(options)),
    await failureOf(rollback({ ...options, target: '0.0.0' })),
    await failureOf(baseline({ ...options, target: 'latest', historyTable: 'another_history' })),
  ];
}

async function expectExit2(source: string, folder: string, message: string): Promise<void> {
  const run = startCli(['deploy', '--json', '--dir', folder], { env: { DB_URL: source } });
  onTestFinished(() => {
    run.process.kill('SIGKILL');
  });
  const { exitCode, stdout } = await run.result;
  expect({ exitCode, ...JSON.parse(stdout) }).toMatchObject({
    exitCode: 2,
    error: { code: 'database-refused', message, hint: expect.stringMatching(/^Nothing was changed\. /) },
  });
}

describe('a database that takes no changes', () => {
  test.each<[string, (role: string) => string]>([
    ['the role', (role) => `alter role ${role} set default_transaction_read_only = on`],
    [
      'the role in the database',
      (role) => `alter role ${role} in database ${name} set default_transaction_read_only = on`,
    ],
    ['the database', () => `alter database ${name} set default_transaction_read_only = on`],
  ])('by a default of %s refuses before anything is done', async (_, setting) => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    const { url: source } = await createRole(
      database,
      (role) => `grant create, usage on schema public to ${role};
        grant all on all tables in schema public to ${role}; ${setting(role)}`,
    );
    onTestFinished(async () => {
      await query(`begin read write; alter database ${name} reset all; commit`);
    });
    await writeFiles(folder, pending);
    const before = await readAll();

    const message = `The database "${name}" takes no changes: its transactions are read-only.`;
    for (const error of await refusalsOf(source, folder)) {
      expect(error).toMatchObject({
        code: 'database-refused',
        message,
        hint: expect.stringContaining('default_transaction_read_only'),
      });
    }
    await expectExit2(source, folder, message);

    expect(await readAll()).toEqual(before);
  });

  test('because it is a standby refuses before anything is done, and can be looked at', async () => {
    const server = await startPrivateServer();
    onTestFinished(server.stop);
    const folder = await createFolder(files);
    await deploy({ database: server.url, folder });
    const before = await readAll(server.url);
    const [row] = await runSql<{ data_directory: string }>(server.url, 'show data_directory');
    await server.halt('fast');
    await makeStandby(row?.data_directory ?? '');
    await server.start();
    await writeFiles(folder, pending);
    const standby = { database: server.url, folder };
    expect(await runSql(server.url, 'select pg_is_in_recovery() as standby')).toEqual([{ standby: true }]);

    const message = 'The database "postgres" takes no changes: its transactions are read-only.';
    for (const error of await refusalsOf(server.url, folder)) {
      expect(error).toMatchObject({
        code: 'database-refused',
        message,
        hint: expect.stringContaining('standby'),
      });
    }
    await expectExit2(server.url, folder, message);

    expect(await readAll(server.url)).toEqual(before);
    expect(await check(standby)).toMatchObject({ result: 'pending' });
    expect(await status(standby)).toMatchObject({ counts: { applied: 1 } });
    expect(await list(standby)).toMatchObject({ alterations: { length: 4 } });
    expect(await deploy({ ...standby, dryRun: true })).toMatchObject({ planned: { length: 3 } });
    expect(await deploy({ ...standby, target: '1.0.0' })).toMatchObject({ applied: [] });
  });

  /** A server that finds this file follows another, even one that is never there. */
  async function makeStandby(folder: string): Promise<void> {
    const path = join(folder, 'standby.signal');
    await writeFile(path, '');
    const { uid, gid } = await stat(folder);
    await chown(path, uid, gid);
  }
});

describe('a role that may not do what the runner needs', () => {
  const message = (role: string) =>
    `The role "${role}" may not create the history table "public.alteration_history" in the database "${name}".`;

  test('by creating in the schema of the history is refused before anything is done', async () => {
    const folder = await createFolder({ ...files, ...pending });
    const { role, url: source } = await createRole(
      database,
      (created) => `create schema own authorization ${created}; alter role ${created} set search_path = own`,
    );
    const before = await readAll();

    await expectExit2(source, folder, message(role));

    expect(await readAll()).toEqual(before);
    await deploy({ database: source, folder: await createFolder(files), historySchema: 'own' });
    expect(await query('select "timestamp" from own.alteration_history')).toEqual([{ timestamp: '1' }]);
  });

  test('by creating the schema of the history is refused before anything is done', async () => {
    const folder = await createFolder({ ...files, ...pending });
    const { role, url: source } = await createRole(
      database,
      (created) => `grant create on schema public to ${created}`,
    );
    const before = await readAll();

    const error = await failureOf(deploy({ database: source, folder, historySchema: 'elsewhere' }));

    expect(error).toMatchObject({
      code: 'database-refused',
      message: `The role "${role}" may not create the history table "elsewhere.alteration_history" in the database "${name}".`,
      hint: expect.stringContaining(`grant create on database ${name} to ${role}`),
    });
    expect(await readAll()).toEqual(before);
  });

  test.each([
    [
      'looking at pg_locks',
      'revoke select on pg_catalog.pg_locks from public',
      'grant select on pg_catalog.pg_locks to public',
    ],
    [
      'calling what pg_locks calls',
      'revoke execute on function pg_catalog.pg_lock_status() from public',
      'grant execute on function pg_catalog.pg_lock_status() to public',
    ],
  ])('by %s is refused before anything is done', async (_, revoke, restore) => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    const { role, url: source } = await createRole(
      database,
      (created) => `grant create, usage on schema public to ${created};
        grant all on all tables in schema public to ${created}`,
    );
    await writeFiles(folder, pending);
    onTestFinished(async () => {
      await query(restore);
    });
    await query(revoke);
    const before = await readAll();

    const refusal = `The role "${role}" may not read pg_locks, where the runner's lock is seen.`;
    for (const error of await refusalsOf(source, folder)) {
      expect(error).toMatchObject({ code: 'database-refused', message: refusal });
    }
    await expectExit2(source, folder, refusal);

    expect(await readAll()).toEqual(before);
    expect(await check({ database: source, folder })).toMatchObject({ result: 'pending' });
    expect(await list({ database: source, folder })).toMatchObject({ alterations: { length: 4 } });
  });

  test('is told what to grant, and with that it can deploy', async () => {
    const folder = await createFolder(files);
    const { role, url: source } = await createRole(
      database,
      (created) => `grant create, usage on schema public to ${created}`,
    );
    onTestFinished(async () => {
      await query(`grant select on pg_catalog.pg_locks to public;
        grant execute on function pg_catalog.pg_lock_status() to public`);
    });
    await query(`revoke select on pg_catalog.pg_locks from public;
      revoke execute on function pg_catalog.pg_lock_status() from public`);

    const error = await failureOf(deploy({ database: source, folder }));
    const [, advice] = /Grant it: (.*)\.$/.exec((error as { hint: string }).hint) ?? [];
    await query(advice ?? '');

    expect(advice).toContain(role);
    expect(await deploy({ database: source, folder })).toMatchObject({ applied: [{ id: '1' }] });
  });
});

describe('a server that is older than PostgreSQL 13', () => {
  test('is refused by everything before anything is done', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    await writeFiles(folder, pending);
    const before = await readAll();
    const old = await openOldServer();
    const { host } = new URL(old);
    const options = { database: old, folder };

    const errors = [
      ...(await refusalsOf(old, folder)),
      await failureOf(list(options)),
      await failureOf(status(options)),
      await failureOf(check(options)),
    ];

    const message = expect.stringMatching(
      `^The database at ${host} is PostgreSQL 12\\.\\d+; 13 is the oldest that is supported\\.$`,
    );
    for (const error of errors) expect(error).toMatchObject({ code: 'database-refused', message });
    await expectExit2(old, folder, message);
    expect(await readAll()).toEqual(before);
  });

  /** The tests' own server, but for the version that it gives when the runner asks: an older one is not to be had. */
  async function openOldServer(): Promise<string> {
    const { hostname, port } = new URL(url);
    const sockets = new Set<Socket>();
    const proxy = createServer((near) => {
      const far = connect(Number(port), hostname);
      for (const socket of [near, far]) sockets.add(socket.on('error', () => socket.destroy()));
      near.pipe(far);
      far.on('data', (chunk) => near.write(makeOlder(chunk)));
      far.on('close', () => near.destroy());
    }).listen(0, '127.0.0.1');
    onTestFinished(async () => {
      for (const socket of sockets) socket.destroy();
      proxy.close();
      await once(proxy, 'close');
    });
    await once(proxy, 'listening');
    const address = proxy.address();
    if (typeof address !== 'object' || address === null) throw new Error('a listening socket has no port');
    return url.replace(`@${hostname}:${port}/`, `@127.0.0.1:${address.port}/`);
  }

  /** As many bytes as before: the protocol counts them. */
  function makeOlder(chunk: Buffer): Buffer {
    const text = chunk
      .toString('latin1')
      .replace(/("serverVersion" : ")\d\d/, '$112')
      .replace(/("serverVersionNumber" : )\d\d/, '$112');
    return Buffer.from(text, 'latin1');
  }
});
