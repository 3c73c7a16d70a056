import type { TestProject } from 'vitest/node';
import { requireEngine } from './docker.ts';
import { startPostgresContainer } from './postgres-container.ts';

/** Gives the tests of a project such as `postgres-14` a server of that major version, in a container. */
export default async function startServer(project: TestProject): Promise<() => Promise<void>> {
  await requireEngine();
  const major = project.name.split('-').at(-1) ?? '';
  const { url, container } = await startPostgresContainer(major);
  project.provide('serverUrl', url);
  return async () => {
    await container.stop();
  };
}
