import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { useSandboxes } from '../support/sandbox.ts';

const createSandbox = useSandboxes();

// A container that has less is killed (exit code 137), and nobody told why.
test('a deploy of a whole history needs less memory than the 256 MiB of deploy/kubernetes', async () => {
  const { dir, root, run } = await createSandbox();
  await cp('alterations', dir, { recursive: true });
  const meter = join(root, 'meter.mjs');
  await writeFile(
    meter,
    "process.on('exit', () => console.error('maxRSS', process.resourceUsage().maxRSS));\n",
  );

  const { exitCode, stderr } = await run(['deploy', 'latest'], {
    env: { NODE_OPTIONS: `--import=${pathToFileURL(meter).href}` },
  });

  expect(exitCode).toBe(0);
  expect(Number(/maxRSS (\d+)/.exec(stderr)?.[1]) / 1024).toBeLessThan(256);
});
