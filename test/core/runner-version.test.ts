import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runnerVersion } from '../../src/operations/runner-version.ts';

test("the runner's version is the package's", () => {
  expect(runnerVersion).toBe(JSON.parse(readFileSync('package.json', 'utf8')).version);
});
