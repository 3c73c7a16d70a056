import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import { lockKey } from '../../src/postgres/lock.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { docker } from '../support/docker.ts';
import { writeFiles } from '../support/folder.ts';
import { type Cluster, runJob, runPod, startPodContainer } from '../support/kubelet.ts';
import {
  containerOf,
  decidePodFailure,
  deploymentOf,
  jobOf,
  podOf,
  renderComponents,
} from '../support/manifests.ts';
import { insideUrl } from '../support/runner-container.ts';
import { waitUntil } from '../support/wait-until.ts';
import { whenOver } from '../support/when-over.ts';

const { runner } = inject('images');
const base = jobOf(await renderComponents([]));
const variants = [
  ['by its entry point', base],
  ['by sh -c npm run', jobOf(await renderComponents(['npm-run']))],
] as const;

const gated = {
  '1.0.0-1-first.sql': `create table effects (id int); create table gate ();
create function wait_for_gate() returns void language plpgsql as $$
begin while not exists (select from gate) loop perform pg_sleep(0.02); end loop; end $$;`,
  '1.0.0-2-slow.sql': 'insert into effects values (2); select wait_for_gate();',
  '1.1.0-3-third.sql': 'insert into effects values (3);',
};

/** A product's image with these alterations. */
async function buildProduct(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'alteration-image-'));
  whenOver(() => rm(folder, { recursive: true, force: true }));
  await writeFiles(join(folder, 'alterations'), files);
  await writeFiles(folder, { Dockerfile: `FROM ${runner}\nCOPY alterations/ /app/alterations/\n` });
  const id = await docker('build', '--quiet', folder);
  whenOver(() => docker('image', 'rm', '--force', id));
  return id;
}

const gatedImage = await buildProduct(gated);

function clusterOf(
  database: TestDatabase,
  image: string,
  env: Readonly<Record<string, string>> = {},
): Cluster {
  return {
    images: { 'example.com/product-alteration:1.4.0': image, 'example.com/product:1.4.0': image },
    secrets: { 'database/url': insideUrl(database.url) },
    env,
  };
}

async function untilSlow({ query }: TestDatabase): Promise<void> {
  await waitUntil('the second alteration is under way', async () => {
    const sessions = await query(
      `select from pg_stat_activity where datname = current_database() and query like '%wait_for_gate()%' and pid <> pg_backend_pid()`,
    );
    return sessions.length > 0;
  });
}

const openGate = ({ query }: TestDatabase) => query('insert into gate default values');

async function stateOf({ query }: TestDatabase) {
  const rows = await query<{ timestamp: string }>(
    'select timestamp from alteration_history order by applied_at',
  );
  const effects = await query<{ id: number }>('select id from effects order by id');
  return { rows: rows.map(({ timestamp }) => timestamp), effects: effects.map(({ id }) => id) };
}

const done = { rows: ['1', '2', '3'], effects: [2, 3] };

describe.for(variants)('the Job %s', ([, job]) => {
  const container = containerOf(job, 'alteration');

  test('deploys, and leaves one line for whoever asks how it ended', async () => {
    const database = await createDatabase();
    const image = inject('images').example;
    const { exitCode, message } = await runPod(podOf(job), clusterOf(database, image));
    expect(exitCode).toBe(0);
    expect(message).toMatch(/^deploy: .*28 alterations.*1\.4\.0.*\n?$/);
  });

  test('runs twice at once: one alters, the other waits and has nothing left to do', async () => {
    const database = await createDatabase();
    const cluster = clusterOf(database, gatedImage);
    const first = runPod(podOf(job), cluster);
    await untilSlow(database);
    const second = await startPodContainer(podOf(job), container, cluster);
    await waitUntil('the second one waits', async () =>
      (await second.log()).includes('waiting for another instance'),
    );
    await openGate(database);
    expect([(await first).exitCode, (await second.end()).exitCode]).toEqual([0, 0]);
    expect(await stateOf(database)).toEqual(done);
  });

  test('is killed, and tried again until it is done', async () => {
    const database = await createDatabase();
    const cluster = clusterOf(database, gatedImage);
    const result = await runJob(job, async (pod, number) => {
      if (number === 3) {
        const [end] = await Promise.all([
          runPod(pod, cluster),
          untilSlow(database).then(() => openGate(database)),
        ]);
        return end;
      }
      const running = await startPodContainer(pod, container, cluster);
      await waitUntil('it alters', async () => (await running.log()).includes('"1.0.0-2-slow.sql"'));
      await (number === 1 ? running.kill() : running.stop(30));
      return running.end();
    });
    expect(result).toEqual({ condition: 'Complete', exitCodes: [137, 143, 0] });
    expect(await stateOf(database)).toEqual(done);
  });
});

describe('the podFailurePolicy does as it should with the exit code of', () => {
  const failures: readonly [
    string,
    {
      exitCode: number;
      action: string;
      files?: Readonly<Record<string, string>>;
      env?: Readonly<Record<string, string>>;
    },
  ][] = [
    ['a wrong setting', { exitCode: 2, action: 'FailJob', env: { ALTERATION_LOCK_WAIT: 'soon' } }],
    [
      'a wrong password',
      { exitCode: 2, action: 'FailJob', env: { DB_URL: 'postgres://nobody:wrong@database:5432/x' } },
    ],
    ['a failed alteration', { exitCode: 4, action: 'FailJob', files: { '1.0.0-1-a.sql': 'select 1/0;' } }],
    [
      'a half done alteration',
      {
        exitCode: 5,
        action: 'FailJob',
        files: { '1.0.0-1-a.sql': '-- alteration: no-transaction\ncreate table a (id int); select 1/0;' },
      },
    ],
    [
      'no database',
      {
        exitCode: 9,
        action: 'Count',
        env: { DB_URL: 'postgres://a:b@nowhere:5432/x', ALTERATION_CONNECT_WAIT: '1s' },
      },
    ],
  ];

  test.for(failures)(
    '%s',
    async ([, { exitCode, action, files = { '1.0.0-1-a.sql': 'select 1;' }, env = {} }]) => {
      const database = await createDatabase();
      const end = await runPod(podOf(base), clusterOf(database, await buildProduct(files), env));
      expect(end.exitCode).toBe(exitCode);
      expect(end.message).toContain(`exit ${exitCode}`);
      expect(decidePodFailure(base, { container: 'alteration', exitCode })).toBe(action);
    },
  );

  test('an applied alteration that was edited', async () => {
    const database = await createDatabase();
    const files = ['select 1;', 'select 2;'].map((sql) => ({ '1.0.0-1-a.sql': sql }));
    const exitCodes: number[] = [];
    for (const one of files) {
      const { exitCode } = await runPod(podOf(base), clusterOf(database, await buildProduct(one)));
      exitCodes.push(exitCode);
    }
    expect(exitCodes).toEqual([0, 8]);
    expect(decidePodFailure(base, { container: 'alteration', exitCode: 8 })).toBe('FailJob');
  });

  test('another instance that holds the lock for too long', async () => {
    const database = await createDatabase();
    const holder = await startPodContainer(
      podOf(base),
      containerOf(base, 'alteration'),
      clusterOf(database, gatedImage),
    );
    await untilSlow(database);
    const end = await runPod(podOf(base), clusterOf(database, gatedImage, { ALTERATION_LOCK_WAIT: '1s' }));
    expect(end.exitCode).toBe(6);
    expect(decidePodFailure(base, { container: 'alteration', exitCode: 6 })).toBe('Count');
    await holder.kill();
  });

  test('a session that was lost, and of a stop', async () => {
    const database = await createDatabase();
    const start = () =>
      startPodContainer(podOf(base), containerOf(base, 'alteration'), clusterOf(database, gatedImage));
    const losing = await start();
    await untilSlow(database);
    const key = lockKey({ schema: 'public', table: 'alteration_history' });
    await database.query(
      `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and (classid::bigint << 32 | objid::bigint) = $1`,
      [key],
    );
    expect((await losing.end()).exitCode).toBe(7);
    const stopped = await start();
    await untilSlow(database);
    await stopped.stop(30);
    expect((await stopped.end()).exitCode).toBe(143);
    expect(decidePodFailure(base, { container: 'alteration', exitCode: 7 })).toBe('Count');
    expect(decidePodFailure(base, { container: 'alteration', exitCode: 143 })).toBe('Count');
    for (const exitCode of [7, 143]) {
      const failure = { container: 'alteration', exitCode, conditions: ['DisruptionTarget'] };
      expect(decidePodFailure(base, failure)).toBe('Ignore');
    }
  });
});

describe('the application', () => {
  test('starts when the database is ready: its init container waits for that', async () => {
    const database = await createDatabase();
    const deployment = deploymentOf(await renderComponents([]));
    const check = containerOf(deployment, 'check');
    const cluster = clusterOf(database, gatedImage);
    const waiting = await startPodContainer(podOf(deployment), check, cluster);
    await waitUntil('it waits', async () => (await waiting.log()).includes('3 alterations are pending'));
    const deploying = runPod(podOf(base), cluster);
    await untilSlow(database);
    await openGate(database);
    expect((await deploying).exitCode).toBe(0);
    expect((await waiting.end()).exitCode).toBe(0);
  });
});

test('alterations that come in another image are deployed from the directory that both share', async () => {
  const database = await createDatabase();
  const job = jobOf(await renderComponents(['shared-directory']));
  const { images, ...cluster } = clusterOf(database, gatedImage);
  const deploying = runPod(podOf(job), {
    ...cluster,
    images: { ...images, 'example.com/product-alteration:1.4.0': runner },
  });
  await untilSlow(database);
  await openGate(database);
  expect((await deploying).exitCode).toBe(0);
  expect(await stateOf(database)).toEqual(done);
});
