import { defineConfig } from 'vitest/config';

const results = process.env['VITEST_RESULTS'];
const builtAndServed = ['test/support/build.ts', 'test/support/server.ts'];
// What needs more of a machine than Node: PgBouncer, network namespaces.
const beyondNode = ['pooler', 'network'];
const patience = { testTimeout: 120_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    silent: 'passed-only',
    maxWorkers: '100%', // most of the time they wait for servers and processes
    ...(results ? { reporters: ['default', ['json', { outputFile: results }]] } : {}),
    projects: [
      { test: { name: 'core', include: ['test/core/**/*.test.ts'] } },
      {
        test: {
          name: 'postgres',
          include: ['test/postgres/**/*.test.ts'],
          globalSetup: builtAndServed,
          ...patience,
        },
      },
      {
        test: {
          name: 'cli',
          include: ['test/cli/**/*.test.ts'],
          globalSetup: builtAndServed,
          ...patience,
        },
      },
      ...beyondNode.map((name) => ({
        test: {
          name,
          include: [`test/${name}/**/*.test.ts`],
          globalSetup: builtAndServed,
          ...patience,
        },
      })),
    ],
  },
});
