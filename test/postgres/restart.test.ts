import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { type CliRun, startCli } from '../support/cli.ts';
import { runSql, type TestDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { moduleText } from '../support/module-text.ts';
import { type PrivateServer, startPrivateServer } from '../support/private-server.ts';
import { waitUntil } from '../support/wait-until.ts';

const { deploy, rollback, SessionLostError } = library;
let server: PrivateServer;
let url: string;
const query: TestDatabase['query'] = (text, values) => runSql(url, text, values);

beforeAll(async () => {
  server = await startPrivateServer();
  url = server.url;
});
beforeEach(() => emptyDatabase({ url, name: 'postgres', query }));
afterAll(() => server.stop());

const createTables = 'create table effects (id int); create table gate (open bool);\n';
const effect = (id: number) => `insert into effects values (${id});`;
const queryOf = (statement: string) => `await connection.query(sql.unsafe\`${statement}\`);`;
/** Takes longer than any test, unless the gate is open when it begins. */
const stay = 'select pg_sleep(600) where not exists (select from gate);';
const openGate = () => query('insert into gate values (true)');

const first = { '1.0.0-1-create.sql': createTables + effect(1) };
const third = { '1.1.0-3-third.ts': moduleText(queryOf(effect(3))) };

function start(args: readonly string[], folder: string): CliRun {
  const run = startCli([...args, '--json', '--dir', folder], { env: { DB_URL: url } });
  onTestFinished(() => {
    run.process.kill('SIGKILL');
  });
  return run;
}

/** Process id of a runner's session, once it is in a query with the text. */
function sessionIn(text: string, state = 'active'): Promise<number> {
  return waitUntil(`a session is in "${text}"`, async () => {
    const [row] = await query<{ pid: number }>(
      `select pid from pg_stat_activity
      where application_name like 'alteration %' and state = $2 and position($1 in query) > 0`,
      [text, state],
    );
    return row?.pid;
  });
}

const terminate = (pid: number) => query('select pg_terminate_backend($1)', [pid]);

async function readEffects(): Promise<number[]> {
  const rows = await query<{ id: number }>('select id from effects order by id');
  return rows.map(({ id }) => id);
}

const readRows = () => query('select "timestamp", state from alteration_history order by "timestamp"');
const applied = (...ids: string[]) => ids.map((timestamp) => ({ timestamp, state: 'applied' }));
const readSessions = () =>
  query(`select pid from pg_stat_activity where application_name like 'alteration %'`);
const readLocks = () => query(`select pid from pg_locks where locktype = 'advisory'`);

const rowTells =
  'Whether it was still committed, its row tells. Run it again: it goes on from what is applied.';
const rolledBack = 'PostgreSQL rolls it back. Run it again: it goes on from what is applied.';
const stays = 'What it had done stays. Run it again: it goes on from what is applied.';

interface Interrupted {
  readonly file: string;
  /** Is in `stay` when the server ends. */
  readonly text: string;
  readonly phase: 'up' | 'beforeUp';
  readonly hint: string;
}

const interrupted: [string, Interrupted][] = [
  [
    'a SQL file',
    {
      file: '1.0.0-2-second.sql',
      text: `${effect(2)}\n${stay}\n${effect(21)}`,
      phase: 'up',
      hint: rowTells, // its commit was sent along
    },
  ],
  [
    'a module',
    {
      file: '1.0.0-2-second.ts',
      text: moduleText(queryOf(effect(2)) + queryOf(stay) + queryOf(effect(21))),
      phase: 'up',
      hint: rolledBack,
    },
  ],
  [
    'a file without a transaction',
    {
      file: '1.0.0-2-second.sql',
      text: `-- alteration: no-transaction\n${effect(2)}\nvacuum effects;\n${stay}\n${effect(21)}`,
      phase: 'up',
      hint: stays,
    },
  ],
  [
    'a beforeUp',
    {
      file: '1.0.0-2-second.ts',
      text: `import { sql } from 'slonik';
export default {
  beforeUp: async (connection) => {
    ${queryOf('insert into effects select 2 where not exists (select from effects where id = 2)')} ${queryOf(stay)}
  },
  up: async (connection) => { ${queryOf(effect(21))} },
};`,
      phase: 'beforeUp',
      hint: stays,
    },
  ],
];

describe('a server that restarts', () => {
  test.each(interrupted)(
    'in %s ends the deploy with 7; the next one waits for it and finishes, nothing twice',
    async (_, { file, text, phase, hint }) => {
      const folder = await createFolder({ ...first, [file]: text, ...third });
      const run = start(['deploy'], folder);
      await sessionIn('pg_sleep');
      await openGate(); // for the next

      await server.halt('immediate');
      const { exitCode, stdout } = await run.result;
      const next = start(['deploy', '--connect-wait', '60s'], folder);
      await toldToWait(next);
      await server.start();

      expect(exitCode).toBe(7);
      expect(JSON.parse(stdout).error).toMatchObject({
        code: 'session-lost',
        message: expect.stringMatching(
          `^The database session was lost while "${file}" was in ${phase}: .*[^.]\\.$`,
        ),
        hint,
        progress: { done: ['1.0.0-1-create.sql'], remaining: [file, '1.1.0-3-third.ts'] },
      });
      expect(await next.result).toMatchObject({ exitCode: 0 });
      expect(await readEffects()).toEqual([1, 2, 3, 21]);
      expect(await readRows()).toEqual(applied('1', '2', '3'));
      expect(await readLocks()).toEqual([]);
    },
  );

  test('tells people what is applied, and that the next deploy goes on', async () => {
    const folder = await createFolder({ ...first, '1.0.0-2-second.sql': stay, ...third });
    const run = startCli(['deploy', '--dir', folder], {
      env: { DB_URL: url, ALTERATION_LOG_FORMAT: 'pretty' },
    });
    onTestFinished(() => {
      run.process.kill('SIGKILL');
    });
    await sessionIn('pg_sleep');

    await server.restart('immediate');

    const { exitCode, stderr } = await run.result;
    expect(exitCode).toBe(7);
    expect(stderr).toContain('The database session was lost while "1.0.0-2-second.sql" was in up: ');
    expect(stderr).toContain('it goes on from what is applied.');
    expect(stderr).toContain('1 alteration before it is applied; 1 alteration after it is not.');
  });

  test('in the usual way ends a deploy, and one that waits for its turn, with 7', async () => {
    const folder = await createFolder({ ...first, '1.0.0-2-second.sql': `${effect(2)}\n${stay}` });
    const run = start(['deploy'], folder);
    await sessionIn('pg_sleep');
    const waiting = start(['deploy'], folder);
    await sessionIn('pg_try_advisory_lock', 'idle');

    await server.restart('fast');

    expect(await run.result).toMatchObject({ exitCode: 7 });
    const { exitCode, stdout } = await waiting.result;
    expect({ exitCode, ...JSON.parse(stdout) }).toMatchObject({
      exitCode: 7,
      error: { code: 'session-lost' },
    });
    expect(await readEffects()).toEqual([1]);
    await openGate();
    await deploy({ database: url, folder });
    expect(await readEffects()).toEqual([1, 2]);
  });

  test('in a rollback ends it with 7, and the next one finishes', async () => {
    const folder = await createFolder({
      ...first,
      '1.1.0-2-second.up.sql': effect(2),
      '1.1.0-2-second.down.sql': `delete from effects where id = 2;\n${stay}`,
      '1.1.0-3-third.up.sql': effect(3),
      '1.1.0-3-third.down.sql': 'delete from effects where id = 3;',
    });
    await deploy({ database: url, folder });
    const run = start(['rollback', '1.0.0', '--yes'], folder);
    await sessionIn('pg_sleep');
    await openGate();

    await server.restart('immediate');

    const { exitCode, stdout } = await run.result;
    expect({ exitCode, ...JSON.parse(stdout) }).toMatchObject({
      exitCode: 7,
      error: { hint: rowTells, progress: { direction: 'down', done: ['1.1.0-3-third.up.sql'] } },
    });
    expect(await readEffects()).toEqual([1, 2]);
    await rollback({ database: url, folder, target: '1.0.0' });
    expect(await readEffects()).toEqual([1]);
    expect(await readRows()).toEqual(applied('1'));
  });

  function toldToWait({ process }: CliRun): Promise<void> {
    const told = Promise.withResolvers<void>();
    let stderr = '';
    process.stderr?.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
      if (stderr.includes('cannot be reached')) told.resolve();
    });
    process.once('close', () => told.reject(new Error(`it did not wait: ${stderr}`)));
    return told.promise;
  }
});

describe('a session that is lost while its script goes on', () => {
  /** Does an effect, says where it is, and a while later tries to do more in every way there is; writes down how that went. */
  const goesOn = (phase: 'up' | 'beforeUp') => `import { sql } from 'slonik';
import { writeFileSync } from 'node:fs';
const work = async (connection) => {
  ${queryOf(effect(2))}
  ${queryOf(`select 'here'`)}
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const more = (id) => sql.unsafe\`insert into effects values (\${id}) returning id\`;
  const outcomes = await Promise.allSettled([
    connection.query(more(20)),
    connection.one(more(21)),
    connection.transaction((nested) => nested.query(more(22))),
    connection.query(sql.unsafe\`insert into effects values (23); commit\`),
    connection.query(sql.unsafe\`insert into effects values (24)\`),
  ]);
  writeFileSync(new URL('../outcomes.json', import.meta.url), JSON.stringify(outcomes.map(({ status }) => status)));
};
export default ${phase === 'up' ? '{ up: work }' : `{ beforeUp: work, up: async (connection) => { ${queryOf(effect(3))} } }`};
`;

  const losses: [string, (pid: number) => Promise<unknown>][] = [
    ['its backend is terminated', terminate],
    ['the server restarts', () => server.restart('immediate')],
  ];

  test.each(
    losses.flatMap(([loss, lose]) => [
      { loss, lose, phase: 'up', effects: [1] } as const,
      { loss, lose, phase: 'beforeUp', effects: [1, 2] } as const,
    ]),
  )('commits nothing afterwards: $loss, in $phase', async ({ lose, phase, effects }) => {
    const folder = await createFolder({ ...first, '1.0.0-2-second.ts': goesOn(phase), ...third });
    const deploying = failureOf(deploy({ database: url, folder }));

    await lose(await sessionIn(`select 'here'`, phase === 'up' ? 'idle in transaction' : 'idle'));

    const error = await deploying;
    expect(error).toBeInstanceOf(SessionLostError);
    expect(error).toMatchObject({ message: expect.stringContaining(`was in ${phase}: `) });
    const outcomes = await waitUntil('the script has come to its end', () =>
      readFile(join(folder, '../outcomes.json'), 'utf8').catch(() => undefined),
    );
    expect(JSON.parse(outcomes)).toEqual(Array(5).fill('rejected'));
    expect(await readEffects()).toEqual(effects);
    expect(await readRows()).toEqual(applied('1'));
    expect(await readLocks()).toEqual([]);
    expect(await readSessions()).toEqual([]);
  });
});

describe('a connection that breaks', () => {
  const both = { ...first, '1.0.0-2-second.sql': effect(2), ...third };

  test.each([
    ['before the commit of an alteration arrives', 'before', [1]],
    ['when that has arrived, and before its answer', 'after', [1, 2]],
  ] as const)(
    '%s: its row tells what became of it, and the next deploy goes on',
    async (_, when, effects) => {
      const folder = await createFolder(both);
      const source = await openBreakingWay('insert into effects values (2)', 'commit', when);

      const error = await failureOf(deploy({ database: source, folder }));

      expect(error).toBeInstanceOf(SessionLostError);
      expect(error).toMatchObject({
        message: expect.stringMatching(
          /^The database session was lost while "1\.0\.0-2-second\.sql" was in up: /,
        ),
        hint: 'Whether it was still committed, its row tells. Run it again: it goes on from what is applied.',
        progress: { done: ['1.0.0-1-create.sql'] },
      });
      await waitUntil('the server has noticed', async () => (await readSessions()).length === 0);
      expect(await readEffects()).toEqual(effects);
      expect(await readRows()).toEqual(applied(...effects.map(String)));
      await deploy({ database: url, folder });
      expect(await readEffects()).toEqual([1, 2, 3]);
    },
  );

  test('after the commit of an alteration tells that it is applied', async () => {
    const folder = await createFolder(both);
    const source = await openBreakingWay(
      'insert into effects values (2)',
      'reset session authorization',
      'answered',
    );

    const error = await failureOf(deploy({ database: source, folder }));

    expect(error).toBeInstanceOf(SessionLostError);
    expect(error).toMatchObject({
      hint: expect.stringContaining('Run it again: it goes on from'),
      progress: { done: ['1.0.0-1-create.sql', '1.0.0-2-second.sql'], remaining: ['1.1.0-3-third.ts'] },
    });
    await deploy({ database: url, folder });
    expect(await readEffects()).toEqual([1, 2, 3]);
  });

  /**
   * A way to the server that breaks at the first query `at` after the text: before it has arrived, when what came
   * before it is answered, or when it and all behind it have arrived, without an answer.
   */
  async function openBreakingWay(
    after: string,
    at: string,
    when: 'before' | 'answered' | 'after',
  ): Promise<string> {
    let open = true;
    const proxy = createServer((near) => {
      const far = connect(server.port, '127.0.0.1');
      const cut = () => [near, far].map((socket) => socket.destroy());
      for (const socket of [near, far]) socket.on('error', cut).on('close', cut);
      far.on('data', (chunk) => {
        if (open || when === 'answered') near.write(chunk);
        if (!open && when === 'answered' && chunk.includes('COMMIT')) near.end();
      });
      near.on('data', (chunk) => {
        const start = chunk.indexOf(after);
        // A query is a message of a letter, four bytes of length, the empty name of a statement and the text.
        const index = start === -1 ? -1 : chunk.indexOf(`\0${at}\0`, start);
        if (index === -1) return far.write(chunk);
        open = false;
        if (when === 'after') return far.end(chunk);
        far.write(chunk.subarray(0, index - 5));
        return when === 'before' && cut();
      });
    }).listen(0, '127.0.0.1');
    onTestFinished(() => {
      proxy.close();
    });
    await once(proxy, 'listening');
    const address = proxy.address();
    if (typeof address !== 'object' || address === null) throw new Error('a listening socket has no port');
    return url.replace(`:${server.port}/`, `:${address.port}/`);
  }
});

describe('a runner that is killed with SIGKILL', () => {
  test.each<[string, Readonly<Record<string, string>>, string, string]>([
    ['in a long statement', { '1.0.0-2-long.sql': 'select pg_sleep(60);' }, 'pg_sleep(60)', 'active'],
    [
      'in a long statement outside a transaction',
      { '1.0.0-2-long.sql': '-- alteration: no-transaction\nselect pg_sleep(60);' },
      'pg_sleep(60)',
      'active',
    ],
    [
      'while it computes in a transaction',
      {
        '1.0.0-2-long.ts': moduleText(
          `${queryOf(`select 'here'`)} const end = Date.now() + 60_000; while (Date.now() < end);`,
        ),
      },
      `select 'here'`,
      'idle in transaction',
    ],
    [
      'while it waits in a transaction',
      {
        '1.0.0-2-long.ts': moduleText(
          `${queryOf(`select 'here'`)} await new Promise((resolve) => setTimeout(resolve, 60_000));`,
        ),
      },
      `select 'here'`,
      'idle in transaction',
    ],
    [
      'while it waits for a lock',
      { '1.0.0-2-long.sql': '-- alteration: lock-timeout=60s\nlock table effects;' },
      'lock table effects',
      'active',
    ],
  ])('has freed the lock within 2 seconds: %s', async (_, files, text, state) => {
    const folder = await createFolder({ ...first, ...files });
    await deploy({ database: url, folder: await createFolder(first) });
    const reader = new pg.Client({ connectionString: url });
    await reader.connect();
    onTestFinished(() => reader.end());
    await reader.query('begin; lock table effects in access share mode');
    const run = start(['deploy'], folder);
    await sessionIn(text, state);
    expect(await readLocks()).toHaveLength(1);

    run.process.kill('SIGKILL');
    const killedAt = performance.now();

    await waitUntil('the lock is free', async () => (await readLocks()).length === 0);
    expect(performance.now() - killedAt).toBeLessThan(2_000);
    expect(await readRows()).toContainEqual(applied('1')[0]);
  });
});
