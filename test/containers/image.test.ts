import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, inject, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { lockKey } from '../../src/postgres/lock.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { docker } from '../support/docker.ts';
import { writeFiles } from '../support/folder.ts';
import { insideUrl, locked, runContainer, startContainer, ways } from '../support/runner-container.ts';
import { waitUntil } from '../support/wait-until.ts';
import { whenOver } from '../support/when-over.ts';

const images = inject('images');

async function applied({ query }: TestDatabase): Promise<readonly string[]> {
  const rows = await query<{ timestamp: string }>(
    'select timestamp from alteration_history order by applied_at',
  );
  return rows.map(({ timestamp }) => timestamp);
}

/** Builds an image from the files; it goes when the tests of the file are over. */
async function buildImage(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'alteration-image-'));
  whenOver(() => rm(folder, { recursive: true, force: true }));
  await writeFiles(folder, files);
  const id = await docker('build', '--quiet', folder);
  whenOver(() => docker('image', 'rm', '--force', id));
  return id;
}

describe('what is in the image', () => {
  const shell = async (script: string) => {
    const { exitCode, stdout, stderr } = await runContainer(
      { image: images.example },
      { command: ['/bin/sh', '-c', script] },
    );
    expect([exitCode, stderr]).toEqual([0, '']);
    return stdout.trim().split('\n');
  };

  test('is the bundle, the packages it needs, package.json, the licences and the example', async () => {
    expect(await shell('cd /app && ls -A')).toEqual([
      'LICENSE',
      'alteration.config.js',
      'dist',
      'example',
      'node_modules',
      'package.json',
    ]);
    const packages = await shell('cd /app/node_modules && ls');
    expect(packages).toEqual(expect.arrayContaining(Object.keys(packageJson.dependencies)));
    const development = Object.keys(packageJson.devDependencies);
    expect(packages.filter((name) => development.includes(name) && !name.startsWith('pg'))).toEqual([]);
  });

  test('are the licences of all packages that the bundle is made of', async () => {
    const notices = (await shell('cat /app/dist/THIRD-PARTY-LICENSES.txt')).join('\n');
    for (const name of ['commander', 'semver', '@inquirer/core', 'log-update', 'pg-connection-string']) {
      expect(notices).toMatch(new RegExp(`^${name} \\d+\\.\\d+`, 'm'));
    }
    expect(notices).toContain('Copyright (c) 2011 TJ Holowaychuk');
  });

  test('is no cache, no secret and nothing that another user could not read', async () => {
    expect(
      await shell('find / -xdev \\( -name .npm -o -name _cacache -o -name .env \\) 2>/dev/null; true'),
    ).toEqual(['']);
    expect(await shell('find /app \\( ! -perm -o+r -o -type d ! -perm -o+x \\)')).toEqual(['']);
  });

  test.each(['1000', '0'])(
    'is compiled code that a deploy of user %s takes, with a read-only root',
    async (user) => {
      const { exitCode, stderr } = await runContainer(
        {
          image: images.example,
          env: { DB_URL: 'postgres://nobody@127.0.0.1:1/none', NODE_DEBUG_NATIVE: 'COMPILE_CACHE' },
          options: ['--read-only', `--user=${user}`],
        },
        { args: ['deploy', 'latest', '--connect-wait', '0'] },
      );
      expect(exitCode).toBe(9);
      expect(stderr).toMatch(/code cache for ESM \S+\/chunks\/main-\S+ was accepted/);
      expect(stderr).toMatch(/code cache for ESM \S+\/chunks\/deploy-\S+ was accepted/);
      expect(stderr).not.toContain('was rejected');
    },
  );

  test('is told by its labels, and it does not run as root', async () => {
    const { Labels, User } = JSON.parse(
      await docker('inspect', '--format', '{{json .Config}}', images.example),
    );
    expect(User).toBe('1000');
    expect(Labels).toMatchObject({
      'org.opencontainers.image.title': packageJson.name,
      'org.opencontainers.image.description': packageJson.description,
      'org.opencontainers.image.licenses': packageJson.license,
      'org.opencontainers.image.version': packageJson.version,
    });
  });

  test('of the runner alone are no alterations, and a deploy says so', async () => {
    const { exitCode, stderr } = await runContainer(
      { image: images.runner, env: { DB_URL: 'postgres://nobody@nowhere/nothing' } },
      { args: ['deploy', 'latest'] },
    );
    expect(exitCode).toBe(2);
    expect(stderr).toContain('does not exist');
  });
});

const slowImage = await buildImage({
  Dockerfile: `FROM ${images.runner}\nCOPY alterations/ /app/alterations/\n`,
  'alterations/1.0.0-1-first.sql': `create table effects (id int); create table gate ();
create function wait_for_gate() returns void language plpgsql as $$
begin while not exists (select from gate) loop perform pg_sleep(0.02); end loop; end $$;`,
  'alterations/1.0.0-2-slow.sql': 'insert into effects values (2); select wait_for_gate();',
  'alterations/1.0.0-3-third.sql': 'insert into effects values (3);',
});

describe.for(ways)('by %s', ([, commandOf]) => {
  test('deploys with a read-only root, a random uid, no privileges and no network but the database', async () => {
    const database = await createDatabase();
    const env = { DB_URL: insideUrl(database.url) };
    const run = (args: string) =>
      runContainer({ image: images.example, env, options: locked }, commandOf(args));
    expect(await run('deploy latest')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('the database is at 1.4.0'),
    });
    expect(await run('check')).toMatchObject({ exitCode: 0 });
  });

  async function startSlow(grace: string) {
    const database = await createDatabase();
    const env = { DB_URL: insideUrl(database.url), ALTERATION_GRACE: grace };
    const container = await startContainer(
      { image: slowImage, env, options: locked },
      commandOf('deploy latest'),
    );
    await waitUntil('the second alteration is under way', async () => {
      const sessions = await database.query(
        `select from pg_stat_activity where datname = current_database() and query like '%wait_for_gate()%' and pid <> pg_backend_pid()`,
      );
      return sessions.length > 0;
    });
    return { database, container };
  }

  async function expectFreeLock({ query }: TestDatabase): Promise<void> {
    const key = lockKey({ schema: 'public', table: 'alteration_history' });
    expect(await query('select pg_try_advisory_lock($1) as free', [key])).toEqual([{ free: true }]);
  }

  test('`docker stop` rolls back what does not end within the grace, at once frees the lock, and exits with 143', async () => {
    const { database, container } = await startSlow('300ms');
    await container.stop(20);
    await expectFreeLock(database);
    expect(await container.ended()).toBe(143);
    expect(await container.log()).toContain('Stopped by SIGTERM.');
    expect(await applied(database)).toEqual(['1']);
    expect(await database.query('select id from effects')).toEqual([]);
  });

  test('`docker stop` lets end what ends within the grace, and nothing begins after it', async () => {
    const { database, container } = await startSlow('1m');
    const stopped = container.stop(60);
    await waitUntil('the signal has arrived', async () => (await container.log()).includes('Stopping'));
    await database.query('insert into gate default values');
    await stopped;
    await expectFreeLock(database);
    expect(await container.ended()).toBe(143);
    expect(await applied(database)).toEqual(['1', '2']);
  });
});

describe('a product’s image', () => {
  const alterations = {
    'alterations/1.0.0-1-users.sql': 'create table users (id int, name text);',
    'alterations/1.1.0-2-seed.ts': `import { sql } from 'slonik';
import kebabCase from 'kebab-case';
enum Name { First = 'FirstUser' }
export default {
  up: async (transaction) => {
    await transaction.query(sql.unsafe\`insert into users values (1, \${kebabCase(Name.First)})\`);
  },
};`,
    'alterations/package.json': '{ "dependencies": { "kebab-case": "2.0.2" } }',
  };

  test.for(['runner', 'example'] as const)(
    'made FROM the %s has its own alterations and packages',
    async (base) => {
      const image = await buildImage({
        ...alterations,
        Dockerfile: `FROM ${images[base]}
COPY alterations/ /app/alterations/
USER root
RUN npm install --prefix /app/alterations && rm -rf /tmp/.npm
USER 1000
`,
      });
      const database = await createDatabase();
      const env = { DB_URL: insideUrl(database.url) };
      const result = await runContainer({ image, env, options: locked }, {});
      expect(result).toMatchObject({ exitCode: 0 });
      expect(await applied(database)).toEqual(['1', '2']);
      expect(await database.query('select * from users')).toEqual([{ id: 1, name: '-first-user' }]);
    },
  );
});
