import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { TestProject } from 'vitest/node';
import { withEmbeddedServer } from '../../src/postgres/embedded-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Connection string of a server where databases can be created. */
    serverUrl: string;
  }
}

/** Gives the tests a server: the one of TEST_DATABASE_URL, or one of their own for the time of the run. */
export default async function startServer(project: TestProject): Promise<() => Promise<void>> {
  const given = process.env['TEST_DATABASE_URL'];
  if (given) {
    project.provide('serverUrl', given);
    return async () => undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), 'alteration-test-server-'));
  const started = Promise.withResolvers<string>();
  const over = Promise.withResolvers<void>();
  const served = withEmbeddedServer(folder, ({ connectionString }) => {
    started.resolve(connectionString);
    return over.promise;
  });
  served.catch(started.reject);
  const serverUrl = await started.promise;
  await hasten(serverUrl);
  project.provide('serverUrl', serverUrl);
  return async () => {
    over.resolve();
    await served;
    await rm(folder, { recursive: true, force: true });
  };
}

/** Nothing here has to outlive the machine: processes are killed, but the power stays on. */
async function hasten(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes']) {
    await client.query(`alter system set ${setting} = off`);
  }
  await client.query('select pg_reload_conf()');
  await client.end();
}
