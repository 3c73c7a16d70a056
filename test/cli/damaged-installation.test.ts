import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runProgram } from '../support/run-program.ts';

test.each([
  ['tell-failure', ['deploy', '--lock-wait', '5']],
  ['main', ['deploy', 'latest']],
])('a program without its part "%s" says so, with exit code 1', async (part, args) => {
  const folder = await mkdtemp(join(tmpdir(), 'alteration-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await cp('dist', folder, { recursive: true });
  const chunks = await readdir(join(folder, 'chunks'));
  for (const name of chunks.filter((one) => one.startsWith(`${part}-`)))
    await rm(join(folder, 'chunks', name));

  const { exitCode, stderr } = await runProgram(process.execPath, [join(folder, 'bin.js'), ...args]);

  expect(exitCode).toBe(1);
  expect(stderr).toContain(`chunks/${part}-`);
});
