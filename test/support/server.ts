import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
  project.provide('serverUrl', await started.promise);
  return async () => {
    over.resolve();
    await served;
    await rm(folder, { recursive: true, force: true });
  };
}
