import { randomBytes } from 'node:crypto';
import { Network } from 'testcontainers';
import type { TestProject } from 'vitest/node';
import { docker, requireEngine } from './docker.ts';
import { serverAlias, startPostgresContainer } from './postgres-container.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Tags of the Dockerfile's two images. */
    images: { readonly runner: string; readonly example: string };
    /** A network with the database in it. */
    network: string;
    /** Another one, that leads to nothing but the database. */
    closedNetwork: string;
  }
}

/** Builds the images as anybody would, and starts a server in networks of theirs. */
export default async function prepare(project: TestProject): Promise<() => Promise<void>> {
  await requireEngine();
  const id = randomBytes(4).toString('hex');
  const images = { runner: `alteration-test:runner-${id}`, example: `alteration-test:example-${id}` };
  await docker('build', '--quiet', '--target', 'runner', '--tag', images.runner, '.');
  await docker('build', '--quiet', '--tag', images.example, '.');
  const network = await new Network().start();
  const closedNetwork = `alteration-test-closed-${id}`;
  await docker('network', 'create', '--internal', closedNetwork);
  const { url, container } = await startPostgresContainer('18', network);
  await docker('network', 'connect', '--alias', serverAlias, closedNetwork, container.getId());
  project.provide('serverUrl', url);
  project.provide('images', images);
  project.provide('network', network.getName());
  project.provide('closedNetwork', closedNetwork);
  return async () => {
    await container.stop();
    await network.stop();
    await docker('network', 'rm', closedNetwork);
    await docker('image', 'rm', ...Object.values(images));
  };
}
