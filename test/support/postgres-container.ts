import { GenericContainer, type StartedNetwork, type StartedTestContainer, Wait } from 'testcontainers';

/** A PostgreSQL of the public image, for the time of a test run. */
export interface PostgresContainer {
  /** From this machine: `postgres://postgres:<password>@127.0.0.1:<port>/postgres` */
  readonly url: string;
  readonly container: StartedTestContainer;
}

/** What other containers of its network call it. */
export const serverAlias = 'database';

// Nothing here has to outlive the machine.
const haste = ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off', 'max_connections=300'];
const password = 'postgres';

export async function startPostgresContainer(
  major: string,
  network?: StartedNetwork,
): Promise<PostgresContainer> {
  const image = new GenericContainer(`postgres:${major}-alpine`)
    .withEnvironment({ POSTGRES_PASSWORD: password })
    .withCommand(['postgres', ...haste.flatMap((setting) => ['-c', setting])])
    .withExposedPorts(5432)
    .withWaitStrategy(Wait.forLogMessage(/listening on IPv4 address "0\.0\.0\.0"/))
    .withStartupTimeout(120_000);
  const container = await (network
    ? image.withNetwork(network).withNetworkAliases(serverAlias)
    : image
  ).start();
  const port = container.getMappedPort(5432);
  return { url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`, container };
}
