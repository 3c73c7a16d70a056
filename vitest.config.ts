import { defineConfig } from 'vitest/config';

const results = process.env['VITEST_RESULTS'];
const patience = { testTimeout: 120_000, hookTimeout: 120_000 };

/** Tests of the built binary or the library, on a server that is there for the time of the run. */
function served(name: string, folder: string, setup: string, exclude: string[] = []) {
  return {
    test: {
      name,
      include: [`test/${folder}/**/*.test.ts`],
      exclude,
      globalSetup: ['test/support/build.ts', setup],
      ...patience,
    },
  };
}

const embedded = ['postgres', 'cli', 'budget', 'pooler', 'network'];
// The same tests on servers of the public images, without those that bring servers of their own.
const ownServers = ['embedded-server', 'logto-history', 'logto-scripts'].map((name) => `**/${name}.test.ts`);
const majors = (process.env['POSTGRES_MAJORS'] ?? '14,15,16,17,18').split(',');
const inContainers = majors.flatMap((major) =>
  ['postgres', 'pooler'].map((suite) => [suite, major] as const),
);

export default defineConfig({
  test: {
    silent: 'passed-only',
    maxWorkers: '100%', // most of the time they wait for servers and processes
    ...(results ? { reporters: ['default', ['json', { outputFile: results }]] } : {}),
    projects: [
      { test: { name: 'core', include: ['test/core/**/*.test.ts'] } },
      ...embedded.map((name) => served(name, name, 'test/support/server.ts')),
      served('containers', 'containers', 'test/support/images.ts'),
      ...inContainers.map(([suite, major]) =>
        served(`${suite}-${major}`, suite, 'test/support/container-server.ts', ownServers),
      ),
    ],
  },
});
