import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { docker } from '../support/docker.ts';
import { writeFiles } from '../support/folder.ts';
import { serverAlias } from '../support/postgres-container.ts';
import { insideUrl, locked, runContainer, startContainer, ways } from '../support/runner-container.ts';
import { waitUntil } from '../support/wait-until.ts';
import { whenOver } from '../support/when-over.ts';

const { username, password } = new URL(inject('serverUrl'));
const alias = `pooler-${randomBytes(4).toString('hex')}`;

/** Debian's PgBouncer as it comes, in transaction mode. */
const files = {
  Dockerfile: `FROM node:24-bookworm-slim
RUN apt-get update -q && apt-get install -qy --no-install-recommends pgbouncer
COPY pgbouncer.ini userlist.txt /etc/pgbouncer/
RUN chmod -R a+rX /etc/pgbouncer
USER 1000
ENTRYPOINT ["pgbouncer", "/etc/pgbouncer/pgbouncer.ini"]
`,
  'pgbouncer.ini': `[databases]
* = host=${serverAlias} port=5432

[pgbouncer]
listen_addr = *
listen_port = 5432
unix_socket_dir =
auth_type = scram-sha-256
auth_file = /etc/pgbouncer/userlist.txt
pool_mode = transaction
`,
  'userlist.txt': `"${username}" "${password}"\n`,
};

const folder = await mkdtemp(join(tmpdir(), 'alteration-pgbouncer-'));
whenOver(() => rm(folder, { recursive: true, force: true }));
await writeFiles(folder, files);
const image = await docker('build', '--quiet', folder);
whenOver(() => docker('image', 'rm', '--force', image));
const pooler = await startContainer({ image, options: ['--network-alias', alias] }, {});
await waitUntil('PgBouncer answers', async () => (await pooler.log()).includes('process up'));

test('two Jobs at once through a container of PgBouncer: one alters, the other has nothing left to do', async () => {
  const database = await createDatabase();
  const url = new URL(insideUrl(database.url));
  url.hostname = alias;
  const run = (index: number) =>
    runContainer(
      {
        image: inject('images').example,
        env: { DB_URL: url.href, ALTERATION_LOG_FORMAT: 'pretty' },
        options: locked,
      },
      ways[index % 2]?.[1]('deploy latest') ?? {},
    );
  const results = await Promise.all([run(0), run(1)]);
  expect(results.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
  for (const { stderr } of results) expect(stderr).toContain('through a transaction pooler');
  const [{ count, doubled } = {}] = await database.query<{ count: number; doubled: number }>(
    'select count(*)::int, (count(*) - count(distinct timestamp))::int as doubled from alteration_history',
  );
  expect([count, doubled]).toEqual([28, 0]);
  expect(
    await database.query(
      `select from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`,
    ),
  ).toEqual([]);
});
