import pg from 'pg';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type CliRun, startCli } from '../support/cli.ts';
import { createRole } from '../support/create-role.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { moduleText } from '../support/module-text.ts';
import { waitUntil } from '../support/wait-until.ts';

const { deploy, list, SessionLostError } = library;
const database = await createDatabase();
const { query, url } = database;

beforeEach(() => emptyDatabase(database));

const createTables = 'create table effects (id int); create table gate (open bool);\n';
const effect = (id: number) => `insert into effects values (${id});`;
const effectQuery = (id: number) => `await connection.query(sql.unsafe\`${effect(id)}\`);`;
/** Takes longer than any test, until the gate is open. */
const stay = 'select pg_sleep(600) where not exists (select from gate);';
const stayQuery = `await connection.query(sql.unsafe\`${stay}\`);`;

function start(folder: string): CliRun {
  const run = startCli(['deploy', '--json', '--dir', folder], { env: { DB_URL: url } });
  onTestFinished(() => {
    run.process.kill('SIGKILL');
  });
  return run;
}

/** Process id of the session that runs a query with the text. */
function sessionIn(text: string, state = 'active'): Promise<number> {
  return waitUntil(`a session is in "${text}"`, async () => {
    const [row] = await query<{ pid: number }>(
      `select pid from pg_stat_activity
      where datname = current_database() and application_name like 'alteration %'
        and state = $2 and position($1 in query) > 0`,
      [text, state],
    );
    return row?.pid;
  });
}

/** Kills a deploy that is in a query with the text, and waits until the server has noticed. */
async function killIn(text: string, folder: string): Promise<void> {
  const run = start(folder);
  const pid = await sessionIn(text);
  run.process.kill('SIGKILL');
  expect(await run.result).toMatchObject({ signal: 'SIGKILL' });
  await waitUntil('the session is gone', async () => {
    const rows = await query('select from pg_stat_activity where pid = $1', [pid]);
    return rows.length === 0;
  });
}

const openGate = () => query('insert into gate values (true)');
const terminate = (pid: number) => query('select pg_terminate_backend($1)', [pid]);

async function readEffects(): Promise<number[]> {
  const rows = await query<{ id: number }>('select id from effects order by id');
  return rows.map(({ id }) => id);
}

async function readRows() {
  return query('select "timestamp", state from alteration_history order by "timestamp"');
}

const transactional: [string, Readonly<Record<string, string>>][] = [
  ['a module', { '1.0.0-2-stay.ts': moduleText(`${effectQuery(2)} ${stayQuery}`) }],
  ['an SQL file', { '1.0.0-2-stay.sql': `${effect(2)} ${stay}` }],
];

const around = {
  '1.0.0-1-create.sql': createTables + effect(1),
  '1.1.0-3-third.ts': moduleText(effectQuery(3)),
};

describe('a process that is killed', () => {
  test.each(transactional)(
    'in %s leaves nothing of it; the next deploy finishes, nothing twice',
    async (_, files) => {
      const folder = await createFolder({ ...around, ...files });

      await killIn('pg_sleep', folder);

      expect(await readEffects()).toEqual([1]);
      expect(await readRows()).toEqual([{ timestamp: '1', state: 'applied' }]);
      await openGate();
      const report = await deploy({ database: url, folder });
      expect(report.applied.map(({ id }) => id)).toEqual(['2', '3']);
      expect(await readEffects()).toEqual([1, 2, 3]);
    },
  );

  test('in a file without a transaction: the next deploy goes on with the statement that was not done', async () => {
    const folder = await createFolder({
      ...around,
      '1.0.0-2-stay.sql': `-- alteration: no-transaction
${effect(2)}
vacuum effects;
insert into effects select 20 from pg_sleep(case when exists (select from gate) then 0 else 600 end);
${effect(21)}`,
    });

    await killIn('pg_sleep', folder);

    const { alterations } = await list({ database: url, folder });
    expect(alterations.find(({ id }) => id === '2')).toMatchObject({ state: 'pending', statementsDone: 2 });
    expect(await readEffects()).toEqual([1, 2]);
    await openGate();
    const report = await deploy({ database: url, folder });
    expect(report.applied.map(({ id }) => id)).toEqual(['2', '3']);
    expect(await readEffects()).toEqual([1, 2, 3, 20, 21]);
  });

  test.each([
    [
      'one that is dropped first',
      'drop index concurrently if exists effects_id;\ncreate index concurrently if not exists',
    ],
    ['one that is only created', 'create index concurrently if not exists'],
  ])(
    'while it builds an index concurrently: the next deploy leaves a valid one (%s)',
    async (_, statements) => {
      const folder = await createFolder({
        '1.0.0-1-create.sql': createTables,
        '1.1.0-2-index.sql': `-- alteration: no-transaction\n${statements} effects_id on effects (id);`,
      });
      await deploy({ database: url, folder, target: '1.0.0' });
      const writer = await openTransaction(effect(1)); // the build waits for it

      await killIn('create index concurrently', folder);

      await writer.query('commit');
      await deploy({ database: url, folder });
      expect(await query(`select indisvalid from pg_index where indrelid = 'effects'::regclass`)).toEqual([
        { indisvalid: true },
      ]);
    },
  );

  async function openTransaction(statement: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    onTestFinished(() => client.end());
    await client.query('begin');
    await client.query(statement);
    return client;
  }
});

describe('a session that is terminated', () => {
  test.each(transactional)(
    'in %s: nothing of it is left, and the next deploy converges',
    async (_, files) => {
      const folder = await createFolder({ ...around, ...files });
      const deploying = failureOf(deploy({ database: url, folder }));

      await terminate(await sessionIn('pg_sleep'));
      const error = await deploying;

      expect(error).toBeInstanceOf(SessionLostError);
      expect(error).toMatchObject({
        message: expect.stringMatching(
          /^The database session was lost while "1\.0\.0-2-stay\.(ts|sql)" was in up: /,
        ),
        hint: expect.stringContaining('PostgreSQL rolls it back'),
        progress: { done: ['1.0.0-1-create.sql'] },
      });
      expect(await readEffects()).toEqual([1]);
      await openGate();
      const report = await deploy({ database: url, folder });
      expect(report.applied.map(({ id }) => id)).toEqual(['2', '3']);
      expect(await readEffects()).toEqual([1, 2, 3]);
    },
  );

  test.each(transactional)('ends the process with exit code 7 (%s)', async (_, files) => {
    const run = start(await createFolder({ ...around, ...files }));

    await terminate(await sessionIn('pg_sleep'));

    const { exitCode, stdout } = await run.result;
    expect(exitCode).toBe(7);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'session-lost', exitCode: 7 } });
    expect(await readEffects()).toEqual([1]);
  });

  test.each([
    [
      'beforeUp',
      {
        '1.0.0-2-before.ts': `import { sql } from 'slonik';
          export default { beforeUp: async (connection) => { ${stayQuery} }, up: async (connection) => { ${effectQuery(2)} } };`,
      },
    ],
    [
      'a file without a transaction',
      { '1.0.0-2-stay.sql': `-- alteration: no-transaction\n${stay}\n${effect(2)}` },
    ],
  ])('in %s: what it had done stays, and the next deploy converges', async (_, files) => {
    const folder = await createFolder({ ...around, ...files });
    const deploying = failureOf(deploy({ database: url, folder }));

    await terminate(await sessionIn('pg_sleep'));
    const error = await deploying;

    expect(error).toBeInstanceOf(SessionLostError);
    expect(error).toMatchObject({ hint: expect.stringContaining('What it had done stays') });
    await openGate();
    await deploy({ database: url, folder });
    expect(await readEffects()).toEqual([1, 2, 3]);
  });

  test.each([
    ['never settles', 'new Promise(() => {})'],
    ['settles later than any test', 'new Promise((resolve) => setTimeout(resolve, 600_000))'],
  ])('ends a script that waits for something else that %s', async (_, promise) => {
    const body = `${effectQuery(2)} if (!(await connection.exists(sql.unsafe\`select from gate\`))) await ${promise};`;
    const folder = await createFolder({ ...around, '1.0.0-2-stay.ts': moduleText(body) });
    const deploying = failureOf(deploy({ database: url, folder }));

    await terminate(await sessionIn('select from gate', 'idle in transaction'));
    const error = await deploying;

    expect(error).toBeInstanceOf(SessionLostError);
    expect(error).toMatchObject({ message: expect.stringContaining('while "1.0.0-2-stay.ts" was in up') });
    expect(await readEffects()).toEqual([1]);
    await openGate();
    await deploy({ database: url, folder });
    expect(await readEffects()).toEqual([1, 2, 3]);
  });

  test('ends the process of such a script with exit code 7', async () => {
    const body = `await connection.query(sql.unsafe\`select 'here'\`);
      await new Promise((resolve) => setTimeout(resolve, 600_000));`;
    const run = start(await createFolder({ ...around, '1.0.0-2-stay.ts': moduleText(body) }));

    await terminate(await sessionIn(`select 'here'`, 'idle in transaction'));

    expect(await run.result).toMatchObject({ exitCode: 7 });
    expect(await readRows()).toEqual([{ timestamp: '1', state: 'applied' }]);
  });

  test('is not missed by a script that catches the error of its query', async () => {
    const body = `${effectQuery(2)} await connection.query(sql.unsafe\`${stay}\`).catch(() => undefined);`;
    const folder = await createFolder({ ...around, '1.0.0-2-stay.ts': moduleText(body) });
    const deploying = failureOf(deploy({ database: url, folder }));

    await terminate(await sessionIn('pg_sleep'));

    expect(await deploying).toBeInstanceOf(SessionLostError);
    expect(await readEffects()).toEqual([1]);
  });

  test('while it waits for the lock fails too', async () => {
    const folder = await createFolder({ ...around, ...transactional[0]?.[1] });
    const holder = start(folder);
    const holderPid = await sessionIn('pg_sleep');
    const waiting = Promise.withResolvers<void>();
    const deploying = failureOf(
      deploy({
        database: url,
        folder,
        onEvent: ({ type }) => type === 'lock-waiting' && waiting.resolve(),
      }),
    );
    await waiting.promise;

    await query(
      `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and application_name like 'alteration %' and pid <> $1`,
      [holderPid],
    );

    expect(await deploying).toBeInstanceOf(SessionLostError);
    await terminate(holderPid);
    expect(await holder.result).toMatchObject({ exitCode: 7 });
  });
});

test('a session that idles longer than its role may goes on while beforeUp works elsewhere', async () => {
  const { url: source } = await createRole(
    database,
    (role) =>
      `grant create on schema public to ${role}; alter role ${role} set idle_session_timeout = '500ms'`,
  );
  const folder = await createFolder({
    '1.0.0-1-create.sql': createTables,
    '1.0.0-2-elsewhere.ts': `import { sql } from 'slonik';
export default {
  beforeUp: async () => { await new Promise((resolve) => setTimeout(resolve, 1_500)); },
  up: async (connection) => { ${effectQuery(2)} },
};`,
  });

  const report = await deploy({ database: source, folder });

  expect(report.applied).toHaveLength(2);
  expect(await readEffects()).toEqual([2]);
});
