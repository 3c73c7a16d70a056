import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { lockKey } from '../../src/postgres/lock.ts';
import type { CliResult, CliRun } from '../support/cli.ts';
import { runSql } from '../support/database.ts';
import { writeFiles } from '../support/folder.ts';
import { moduleText } from '../support/module-text.ts';
import { createNetworkNamespace, type NetworkNamespace } from '../support/network-namespace.ts';
import { type PrivateServer, startPrivateServer } from '../support/private-server.ts';
import { waitUntil } from '../support/wait-until.ts';

const ends: (() => Promise<unknown>)[] = [];
let network: NetworkNamespace;
let server: PrivateServer;
/** Holds a folder of alterations for each database. */
let root: string;

beforeAll(async () => {
  network = await createNetworkNamespace();
  ends.push(network.remove);
  server = await startPrivateServer({ listenAddresses: `127.0.0.1,${network.hostAddress}` });
  ends.push(server.stop);
  root = await mkdtemp(join(tmpdir(), 'alteration-test-'));
  ends.push(() => rm(root, { recursive: true, force: true }));
  await symlink(resolve('node_modules'), join(root, 'node_modules'));
  await writeFiles(root, { 'package.json': '{ "type": "module" }' });
});
afterAll(async () => {
  for (const end of ends.reverse()) await end();
});

const queryOf = (statement: string) => `await connection.query(sql.unsafe\`${statement}\`);`;
const waitFor = (ms: number) => `await new Promise((resolve) => setTimeout(resolve, ${ms}));`;
/** Ends when the gate is open: each look at it sees what is new. */
const passGate = `do $$ begin
  while not exists (select from public.gate) loop perform pg_catalog.pg_sleep(0.05); end loop;
end $$;`;
const first = { '1.0.0-1-create.sql': 'create table effects (id int); create table gate (open bool);' };

const urlOf = (database: string) => server.url.replace(/postgres$/, database);
const createDatabase = (name: string) => runSql(server.url, `create database ${name}`);
const openGate = (database: string) => runSql(urlOf(database), 'insert into gate values (true)');
const readEffects = (database: string) => runSql(urlOf(database), 'select id from effects');

/** A deploy in the namespace. */
async function startDeploy(database: string, files: Readonly<Record<string, string>>): Promise<CliRun> {
  const folder = join(root, database);
  await writeFiles(folder, { ...first, ...files });
  return network.startCli(['deploy', '--json', '--dir', folder], {
    env: { DB_URL: urlOf(database).replace('127.0.0.1', network.hostAddress) },
  });
}

/** Waits until the deploy has sent a query with the text. */
async function isIn(database: string, text: string): Promise<void> {
  await waitUntil(`a deploy of "${database}" is in "${text}"`, async () => {
    const rows = await runSql(
      urlOf(database),
      `select from pg_stat_activity where datname = current_database()
        and application_name = 'alteration deploy latest' and position($1 in query) > 0`,
      [text],
    );
    return rows.length > 0;
  });
}

/** Databases in which a runner holds the lock. */
async function readLocked(): Promise<readonly string[]> {
  const rows = await runSql<{ datname: string }>(
    server.url,
    `select datname from pg_locks as l join pg_stat_activity as a on a.pid = l.pid
    where locktype = 'advisory' and application_name like 'alteration %' order by datname`,
  );
  return rows.map(({ datname }) => datname);
}

/** What it answers cannot arrive, and is sent again for a while. Its commit has been sent along. */
const ending = {
  files: { '1.0.0-2-long.sql': `insert into effects values (2);\n${passGate}` },
  query: 'do $$',
};

type Name =
  | 'statement'
  | 'outside'
  | 'idle'
  | 'before'
  | 'ending'
  | 'ending_late'
  | 'asking'
  | 'stopped'
  | 'waiting';

interface Case {
  readonly files: Readonly<Record<string, string>>;
  /** Of what it is in. */
  readonly query: string;
  /** When its gate is opened, counted from the cut. */
  readonly openAfterMs?: number;
}

describe('a machine that is gone without a word', () => {
  /** What its deploys are in when the cable is pulled out, under all of them at once; each has a database of its own. */
  const cases: Readonly<Record<Name, Case>> = {
    statement: {
      files: { '1.0.0-2-long.sql': 'insert into effects values (2);\nselect pg_sleep(600);' },
      query: 'pg_sleep(600)',
    },
    outside: {
      files: { '1.0.0-2-long.sql': '-- alteration: no-transaction\nselect pg_sleep(600);' },
      query: 'pg_sleep(600)',
    },
    idle: {
      files: {
        '1.0.0-2-long.ts': moduleText(queryOf('insert into effects values (2)') + waitFor(600_000)),
      },
      query: 'insert into effects',
    },
    before: {
      files: {
        '1.0.0-2-long.ts': `import { sql } from 'slonik';
export default {
  beforeUp: async (connection) => { ${queryOf(`select 'here'`)} ${waitFor(600_000)} },
  up: async () => undefined,
};`,
      },
      query: `select 'here'`,
    },
    ending: { ...ending, openAfterMs: 11_000 },
    ending_late: { ...ending, openAfterMs: 20_000 },
    asking: {
      files: {
        '1.0.0-2-long.ts': moduleText(
          queryOf('insert into effects values (2)') +
            waitFor(15_000) +
            queryOf(`select 'more'`) +
            waitFor(600_000),
        ),
      },
      query: 'insert into effects',
    },
    stopped: { files: { '1.0.0-2-long.sql': 'select pg_sleep(600);' }, query: 'pg_sleep(600)' },
    waiting: { files: {}, query: 'pg_try_advisory_lock' },
  };
  const names = Object.keys(cases) as Name[]; // its type names them all
  const holding = names.filter((name) => name !== 'waiting').sort();

  const freeAfterMs = new Map<Name, number>();
  const results = new Map<Name, CliResult>();
  const limitMs = 90_000;

  beforeAll(async () => {
    for (const name of names) await createDatabase(name);
    await holdLock('waiting');
    const runs = new Map<Name, CliRun>();
    for (const name of names) runs.set(name, await startDeploy(name, cases[name].files));
    for (const name of names) await isIn(name, cases[name].query);
    expect(await readLocked()).toEqual(holding);
    await waitUntil('all have the second connection too, which looks who blocks them', async () => {
      const rows = await runSql(
        server.url,
        `select distinct datname from pg_stat_activity where application_name like 'alteration % (side)'`,
      );
      return rows.length === holding.length;
    });
    for (const [name, { result }] of runs) void result.then((value) => results.set(name, value));

    await network.cut();
    const cutAt = performance.now();

    const meanwhile = Promise.all([
      pause(2_000).then(() => runs.get('stopped')?.process.kill('SIGTERM')),
      ...names.map(async (name) => {
        const { openAfterMs } = cases[name];
        if (openAfterMs !== undefined) await pause(openAfterMs).then(() => openGate(name));
      }),
    ]);
    while (
      performance.now() - cutAt < limitMs &&
      freeAfterMs.size + results.size < holding.length + names.length
    ) {
      const locked = await readLocked();
      const free = holding.filter((name) => !locked.includes(name) && !freeAfterMs.has(name));
      for (const name of free) freeAfterMs.set(name, performance.now() - cutAt);
      await pause(100);
    }
    await meanwhile;
  }, 180_000);

  /** As a runner elsewhere does. */
  async function holdLock(database: string): Promise<void> {
    const client = new pg.Client({ connectionString: urlOf(database) });
    await client.connect();
    ends.push(() => client.end());
    const key = lockKey({ schema: 'public', table: 'alteration_history' });
    await client.query('select pg_advisory_lock($1)', [key]);
  }

  test.each<[string, Name]>([
    ['a long statement', 'statement'],
    ['a long statement outside a transaction', 'outside'],
    ['a transaction in which it asks nothing', 'idle'],
    ['a transaction in which it asks more', 'asking'],
    ['a beforeUp in which it asks nothing', 'before'],
    ['a statement that comes to its end meanwhile', 'ending'],
    ['a statement that comes to its end late', 'ending_late'],
  ])('has its lock freed within 30 s, and its deploy ends with 7: in %s', async (_, name) => {
    const { exitCode, stdout = '{}' } = results.get(name) ?? {};
    expect(freeAfterMs.get(name)).toBeLessThan(30_000);
    expect({ exitCode, ...JSON.parse(stdout) }).toMatchObject({
      exitCode: 7,
      error: { code: 'session-lost', progress: { done: ['1.0.0-1-create.sql'] } },
    });
    const applied = await runSql(
      urlOf(name),
      `select "timestamp" from alteration_history where state = 'applied' order by 1`,
    );
    const rolledBack = { applied: [{ timestamp: '1' }], effects: [] };
    const committed = { applied: [{ timestamp: '1' }, { timestamp: '2' }], effects: [{ id: 2 }] };
    const possible = cases[name].openAfterMs === undefined ? [rolledBack] : [rolledBack, committed];
    expect(possible).toContainEqual({ applied, effects: await readEffects(name) });
  });

  test('has a deploy end with 7 that waits for its turn', () => {
    expect(results.get('waiting')).toMatchObject({ exitCode: 7 });
  });

  test('has a deploy end with 143 that is told to stop', () => {
    expect(freeAfterMs.get('stopped')).toBeLessThan(30_000);
    expect(results.get('stopped')).toMatchObject({ exitCode: 143 });
  });
});

test('a machine that is gone for a few seconds goes on with its deploy', async () => {
  await network.mend();
  await createDatabase('short');
  const run = await startDeploy('short', {
    '1.0.0-2-long.sql': passGate,
    '1.0.0-3-third.ts': moduleText(queryOf('insert into effects values (3)')),
  });
  onTestFinished(() => {
    run.process.kill('SIGKILL');
  });
  await isIn('short', 'do $$');

  await network.cut();
  await openGate('short');
  await pause(5_000);
  await network.mend();

  expect(await run.result).toMatchObject({ exitCode: 0 });
  expect(await readEffects('short')).toEqual([{ id: 3 }]);
});
