import pg from 'pg';
import { createPool } from 'slonik';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createHistoryTableOfVersion } from '../../src/postgres/history-table.ts';
import { lockKey } from '../../src/postgres/lock.ts';
import { queryableOf } from '../../src/postgres/slonik.ts';
import { readCatalog } from '../support/catalog.ts';
import { type CliResult, startCli } from '../support/cli.ts';
import { createRole } from '../support/create-role.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder, writeFiles } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { moduleText } from '../support/module-text.ts';
import { rowsOf } from '../support/rows-of.ts';
import { waitUntil } from '../support/wait-until.ts';

const { baseline, check, deploy, list, rollback, status } = library;
const { DatabaseRefusedError, HistoryError } = library;
const database = await createDatabase();
const { query, url } = database;

beforeEach(async () => {
  await emptyDatabase(database);
  await query(createGate);
});

/** An alteration that calls `pass_gate` stays in it until the gate is open: each look there sees what is new. */
const createGate = `
  create table gate (open bool);
  create function pass_gate() returns void language plpgsql as $$
  begin
    while not exists (select from public.gate) loop perform pg_catalog.pg_sleep(0.01); end loop;
  end $$`;
const passGate = 'select pass_gate();';

const effect = (id: number) => `insert into effects values (${id});`;
const queryOf = (statement: string) => `await connection.query(sql.unsafe\`${statement}\`);`;
const first = { '1.0.0-1-create.sql': 'create table effects (id int);' };
const dropHistory = 'drop table alteration_history';

interface Failure {
  readonly exitCode: number | null;
  readonly error: Readonly<Record<string, unknown>>;
}

/** Runs the binary, does the damage once it is in `pass_gate`, and lets it go on; gives what it ends with. */
async function damageDuring(
  args: readonly string[],
  folder: string,
  damage: () => Promise<unknown>,
): Promise<Failure> {
  const run = startCli([...args, '--json', '--dir', folder], { env: { DB_URL: url } });
  onTestFinished(() => {
    run.process.kill('SIGKILL');
  });
  let ended: CliResult | undefined;
  void run.result.then((result) => {
    ended = result;
  });
  await waitUntil('an alteration is at the gate', async () => {
    if (ended) throw new Error(`it ended before it was at the gate: ${ended.stdout}${ended.stderr}`);
    const rows = await query(`
      select from pg_stat_activity
      where datname = current_database() and application_name like 'alteration %' and state = 'active'
        and query like '%pass_gate()%'`);
    return rows.length > 0;
  });
  await damage();
  await query('insert into gate values (true)');
  return failureIn(await run.result);
}

function failureIn({ exitCode, stdout }: CliResult): Failure {
  const { error } = JSON.parse(stdout) as { error: Failure['error'] }; // printed for every failure
  return { exitCode, error };
}

/** All that is in the database, the history too, as sorted text. */
async function readAll(): Promise<readonly string[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const rows = await client.query<{ line: string }>(
      'select to_jsonb(h)::text as line from alteration_history as h',
    );
    return [
      ...(await readCatalog(client)),
      ...(await rowsOf(database)),
      ...rows.rows.map(({ line }) => line).sort(),
    ];
  } finally {
    await client.end();
  }
}

async function readEffects(): Promise<number[]> {
  const rows = await query<{ id: number }>('select id from effects order by id');
  return rows.map(({ id }) => id);
}

const exists = async (name: string) => {
  const [row] = await query('select to_regclass($1) is not null as found', [name]);
  return row?.['found'];
};

const outside = '-- alteration: no-transaction\n';

describe('a history table that is dropped while an alteration is under way', () => {
  test.each([
    ['a SQL file', '1.0.0-2-second.sql', `${effect(2)}\ncreate table second ();\n${passGate}`],
    ['a module', '1.0.0-2-second.ts', moduleText(queryOf(effect(2)) + queryOf(passGate))],
    [
      'several queries in one',
      '1.0.0-2-second.ts',
      moduleText(queryOf(`${effect(2)} create table second (); ${passGate}`)),
    ],
  ])('ends the run with 8, and nothing of it stays: %s', async (_, file, text) => {
    const folder = await createFolder({ ...first, [file]: text, '1.1.0-3-third.sql': effect(3) });

    const { exitCode, error } = await damageDuring(['deploy'], folder, () => query(dropHistory));

    expect(exitCode).toBe(8);
    expect(error).toMatchObject({
      code: 'history',
      message: `The history table "public.alteration_history" does not take the row of "${file}": relation "public.alteration_history" does not exist.`,
      hint: expect.stringMatching(/^It was rolled back\. .*Restore it, then run again\.$/),
      progress: { done: ['1.0.0-1-create.sql'], remaining: [file, '1.1.0-3-third.sql'] },
    });
    expect(await readEffects()).toEqual([]);
    expect(await exists('second')).toBe(false);
    expect(await exists('alteration_history')).toBe(false);
  });

  test('by the alteration itself comes back with its rows', async () => {
    const folder = await createFolder(first);
    await deploy({ database: url, folder });
    const before = await readAll();
    await writeFiles(folder, { '1.0.0-2-second.sql': `${effect(2)}\n${dropHistory};` });

    const error = await failureOf(deploy({ database: url, folder }));

    expect(error).toBeInstanceOf(HistoryError);
    expect(error).toMatchObject({ message: expect.stringContaining('does not take the row') });
    expect(await readAll()).toEqual(before);
  });

  test('and whose drop is committed only when the row is to be written, does the same', async () => {
    const folder = await createFolder({ ...first, '1.0.0-2-second.sql': `${effect(2)}\n${passGate}` });
    const dropper = new pg.Client({ connectionString: url });
    await dropper.connect();
    onTestFinished(() => dropper.end());

    const { exitCode, error } = await damageDuring(
      ['deploy', '--lock-timeout', '100ms'],
      folder,
      async () => {
        await dropper.query(`begin; ${dropHistory}`);
        void waitUntil('the runner waits for the table', async () => {
          const rows = await query(`select from pg_locks where not granted`);
          return rows.length > 0;
        }).then(() => dropper.query('commit'));
      },
    );

    expect({ exitCode, error }).toMatchObject({ exitCode: 8, error: { code: 'history' } });
    expect(await readEffects()).toEqual([]);
  });

  test('in a script with a beforeUp leaves what that did, and says so', async () => {
    const text = `import { sql } from 'slonik';
export default {
  beforeUp: async (connection) => { ${queryOf(effect(20))} ${queryOf(passGate)} },
  up: async (connection) => { ${queryOf(effect(2))} },
};`;
    const folder = await createFolder({ ...first, '1.0.0-2-second.ts': text });

    const { exitCode, error } = await damageDuring(['deploy'], folder, () => query(dropHistory));

    expect(exitCode).toBe(8);
    expect(error).toMatchObject({ code: 'history', hint: expect.stringMatching(/beforeUp.*stays/) });
    expect(await readEffects()).toEqual([20]);
  });

  test.each([
    [
      'in a statement that is journalled in its own transaction',
      `${effect(2)}\ninsert into effects select 3 from pass_gate();\n${effect(4)}`,
      [2],
    ],
    [
      'in a statement outside a transaction',
      `${effect(2)}\ndo $$ begin perform public.pass_gate(); ${effect(3)} end $$;\n${effect(4)}`,
      [2, 3],
    ],
  ])('in a file without a transaction leaves what it had done: %s', async (_, text, effects) => {
    const folder = await createFolder({
      ...first,
      '1.0.0-2-second.sql': `${outside}${text}`,
      '1.1.0-3-third.sql': effect(5),
    });

    const { exitCode, error } = await damageDuring(['deploy'], folder, () => query(dropHistory));

    expect(exitCode).toBe(8);
    expect(error).toMatchObject({
      code: 'history',
      message: expect.stringContaining('does not take the row of "1.0.0-2-second.sql"'),
      hint: expect.stringContaining('What it has done outside a transaction stays.'),
      progress: { done: ['1.0.0-1-create.sql'] },
    });
    expect(await readEffects()).toEqual(effects);
  });

  test.each([
    [
      'a pair of SQL files',
      {
        '1.1.0-2-second.up.sql': 'create table second ();',
        '1.1.0-2-second.down.sql': `drop table second;\n${passGate}`,
      },
    ],
    [
      'a module',
      {
        '1.1.0-2-second.ts': `import { sql } from 'slonik';
export default {
  up: async (connection) => { ${queryOf('create table second ()')} },
  down: async (connection) => { ${queryOf('drop table second')} ${queryOf(passGate)} },
};`,
      },
    ],
    [
      'a pair of files without a transaction',
      {
        '1.1.0-2-second.up.sql': `${outside}create table second ();`,
        '1.1.0-2-second.down.sql': `${outside}with gone as (select pass_gate()) select from gone;\ndrop table second;`,
      },
    ],
  ])('ends a rollback with 8, which has taken nothing back: %s', async (_, files) => {
    const folder = await createFolder({ ...first, ...files });
    await deploy({ database: url, folder });

    const { exitCode, error } = await damageDuring(['rollback', '1.0.0', '--yes'], folder, () =>
      query(dropHistory),
    );

    expect(exitCode).toBe(8);
    expect(error).toMatchObject({ code: 'history', progress: { direction: 'down', done: [] } });
    expect(await exists('second')).toBe(true);
  });

  test('while a runner waits for the lock does not make it begin again with the first alteration', async () => {
    const again = {
      '1.0.0-1-create.sql': 'create table if not exists effects (id int);',
      '1.0.0-2-second.sql': effect(2),
    };
    const folder = await createFolder(again);
    await deploy({ database: url, folder });
    await writeFiles(folder, { '1.1.0-3-third.sql': effect(3) });
    const waiting = Promise.withResolvers<void>();
    const release = await holdLock();
    const deploying = failureOf(
      deploy({ database: url, folder, onEvent: ({ type }) => type === 'lock-waiting' && waiting.resolve() }),
    );
    await waiting.promise;

    await query(dropHistory);
    await release();

    expect(await deploying).toBeInstanceOf(HistoryError);
    expect(await readEffects()).toEqual([2]);
  });

  async function holdLock(): Promise<() => Promise<unknown>> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    onTestFinished(() => client.end());
    const key = lockKey({ schema: 'public', table: 'alteration_history' });
    await client.query('select pg_advisory_lock($1)', [key]);
    return () => client.query('select pg_advisory_unlock($1)', [key]);
  }
});

describe('a row that somebody changes while its alteration is under way', () => {
  test('by adding it ends the deploy with 8, and nothing of it stays', async () => {
    const folder = await createFolder({ ...first, '1.0.0-2-second.sql': `${effect(2)}\n${passGate}` });

    const { exitCode, error } = await damageDuring(['deploy'], folder, () =>
      query(`
        insert into alteration_history ("timestamp", version, name, checksum, duration_ms, host, runner, deploy_id)
        select '2', '1.0.0', 'second', 'by hand', 0, 'here', '0', deploy_id from alteration_history`),
    );

    expect({ exitCode, error }).toMatchObject({ exitCode: 8, error: { code: 'history' } });
    expect(error['message']).toBe(
      'Alteration 2 has been recorded as applied by somebody else in the meantime.',
    );
    expect(await readEffects()).toEqual([]);
    expect(await query(`select checksum from alteration_history where "timestamp" = '2'`)).toEqual([
      { checksum: 'by hand' },
    ]);
  });

  test('by removing it ends the rollback with 8, which has taken nothing back', async () => {
    const folder = await createFolder({
      ...first,
      '1.1.0-2-second.up.sql': 'create table second ();',
      '1.1.0-2-second.down.sql': `drop table second;\n${passGate}`,
    });
    await deploy({ database: url, folder });

    const { exitCode, error } = await damageDuring(['rollback', '1.0.0', '--yes'], folder, () =>
      query(`delete from alteration_history where "timestamp" = '2'`),
    );

    expect({ exitCode, error }).toMatchObject({ exitCode: 8, error: { code: 'history' } });
    expect(error['message']).toBe(
      'The history row of "2" disappeared while its alteration was being rolled back.',
    );
    expect(await exists('second')).toBe(true);
  });
});

/** Runs twice without an error: only the history keeps it from that. */
const repeatable = {
  '1.0.0-1-create.up.sql': 'create table if not exists effects (id int);\ninsert into effects values (1);',
  '1.0.0-1-create.down.sql': 'delete from effects;',
};
const oneMore = { '1.1.0-2-more.sql': 'insert into effects values (2);' };
const dropKey = 'alter table alteration_history drop constraint alteration_history_pkey;';

describe('a history that was edited by hand', () => {
  test.each([
    [
      'a state that is none',
      `alter table alteration_history drop constraint alteration_history_state_check;
      update alteration_history set state = 'skipped'`,
      /^Row "1": state: /,
    ],
    [
      'a row that is there twice',
      `${dropKey} insert into alteration_history select * from alteration_history`,
      /"1"/,
    ],
    [
      'a row that is there twice, and says two things',
      `${dropKey} insert into alteration_history select * from alteration_history;
      update alteration_history set state = 'started', statement_digests = '{}' where ctid = '(0,1)'`,
      /"1"/,
    ],
    [
      'a version that is null',
      `alter table alteration_history alter column version drop not null; update alteration_history set version = null`,
      /^Row "1": version: /,
    ],
    [
      'a checksum that is null',
      `alter table alteration_history alter column checksum drop not null; update alteration_history set checksum = null`,
      /^Row "1": checksum: /,
    ],
    [
      'a state that is null',
      `alter table alteration_history alter column state drop not null; update alteration_history set state = null`,
      /^Row "1": state: /,
    ],
    [
      'a timestamp that is null',
      `${dropKey} alter table alteration_history alter column "timestamp" drop not null;
      update alteration_history set "timestamp" = null`,
      /^Row "null": timestamp: /,
    ],
    ...['01', '1.0', '1.', ' 1', '1 ', '+1', '1e0', '１'].map((spelling): [string, string, RegExp] => [
      `the timestamp 1 spelled "${spelling}"`,
      `update alteration_history set "timestamp" = '${spelling}'`,
      /timestamp: is not a timestamp\.$/,
    ]),
    [
      'a column that is gone',
      'alter table alteration_history drop column checksum',
      /^Of every row: column h\.checksum does not exist\.$/,
    ],
    [
      'a column of another type',
      'alter table alteration_history alter column duration_ms type text',
      /^Row "1": duration_ms: /,
    ],
  ])('is refused by everything, and stays as it is: %s', async (_, damage, problem) => {
    const folder = await createFolder(repeatable);
    await deploy({ database: url, folder });
    await writeFiles(folder, oneMore);
    await query(damage);
    const before = await readAll();
    const options = { database: url, folder };

    const run = await startCli(['deploy', '--json', '--dir', folder], { env: { DB_URL: url } }).result;
    const errors = [
      failureIn(run).error,
      await failureOf(deploy({ ...options, allowEdited: true })),
      await failureOf(deploy({ ...options, dryRun: true })),
      await failureOf(rollback({ ...options, target: '0.0.0' })),
      await failureOf(baseline({ ...options, target: 'latest' })),
      await failureOf(list(options)),
      await failureOf(status(options)),
      await failureOf(check(options)),
    ];

    expect(run.exitCode).toBe(8);
    for (const error of errors) {
      expect(error).toMatchObject({
        code: 'history',
        message: 'The history "public.alteration_history" has rows that make no sense.',
        problems: [{ message: expect.stringMatching(problem) }],
        hint: expect.stringContaining('Nothing was changed.'),
      });
    }
    expect(await readAll()).toEqual(before);
  });

  test.each([
    [
      'a column that wants a value',
      `alter table alteration_history add column extra text not null default ''; alter table alteration_history alter column extra drop default`,
    ],
    ['no primary key', dropKey],
    [
      'a trigger that refuses',
      `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'not here'; end $$;
      create trigger refuse before insert or update or delete on alteration_history for each row execute function refuse()`,
    ],
    [
      'a trigger that swallows',
      `create function swallow() returns trigger language plpgsql as $$ begin return null; end $$;
      create trigger swallow before insert or update or delete on alteration_history for each row execute function swallow()`,
    ],
    ['another check', `alter table alteration_history add check (state = 'applied' and "timestamp" = '1')`],
  ])('with %s ends a deploy that cannot write its row, and nothing changes', async (_, damage) => {
    const folder = await createFolder(repeatable);
    await deploy({ database: url, folder });
    await query(damage);
    const before = await readAll();

    for (const files of [
      { '1.1.0-2-more.sql': effect(2) },
      { '1.1.0-2-more.sql': `${outside}${effect(2)}` },
      { '1.1.0-2-more.sql': `${outside}${effect(2)}\n${effect(3)}` },
    ]) {
      await writeFiles(folder, files);
      const error = await failureOf(deploy({ database: url, folder }));
      expect(error).toBeInstanceOf(HistoryError);
      expect(await readAll()).toEqual(before);
    }
  });
});

describe('a history table of another role', () => {
  const options = async () => ({ folder: await createFolder({ ...repeatable, ...oneMore }) });

  test.each([
    ['may do nothing with it', '', 'permission denied for table alteration_history'],
    [
      'may only read it',
      'grant select on alteration_history',
      'may not write the history table "public.alteration_history"',
    ],
  ])('is told to a role that %s, and stays as it is', async (_, grant, message) => {
    const { folder } = await options();
    await deploy({ database: url, folder, target: '1.0.0' });
    const { url: source } = await createRole(
      database,
      (role) => `grant create, usage on schema public to ${role}; grant all on effects to ${role};
        ${grant && `${grant} to ${role}`}`,
    );
    const before = await readAll();

    const run = await startCli(['deploy', '--json', '--dir', folder], { env: { DB_URL: source } }).result;

    expect(failureIn(run)).toMatchObject({
      exitCode: 2,
      error: { code: 'database-refused', message: expect.stringContaining(message) },
    });
    expect(await readAll()).toEqual(before);
  });

  test('is kept by a role that may write it', async () => {
    const { folder } = await options();
    await deploy({ database: url, folder, target: '1.0.0' });
    const { role, url: source } = await createRole(
      database,
      (name) => `grant select, insert, update, delete on alteration_history, effects to ${name}`,
    );

    await deploy({ database: source, folder });

    expect(await readEffects()).toEqual([1, 2]);
    expect(await query(`select role from alteration_history where "timestamp" = '2'`)).toEqual([{ role }]);
  });

  test('that is of an older version is not upgraded by a role that may write it', async () => {
    const pool = await createPool(url);
    await createHistoryTableOfVersion(
      queryableOf(pool),
      { schema: 'public', table: 'alteration_history' },
      1,
    );
    await pool.end();
    const { url: source } = await createRole(
      database,
      (role) => `grant create, usage on schema public to ${role};
        grant select, insert, update, delete on alteration_history to ${role}`,
    );
    const { folder } = await options();
    const before = await readAll();

    const error = await failureOf(deploy({ database: source, folder }));

    expect(error).toBeInstanceOf(DatabaseRefusedError);
    expect(error).toMatchObject({
      message: expect.stringContaining('must be owner of table alteration_history'),
      hint: expect.stringContaining('own'),
    });
    expect(await readAll()).toEqual(before);
  });
});
