import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { whenOver } from './when-over.ts';

/** The file that Kubernetes mounts at /dev/termination-log: empty, and anybody may write it. It goes with the test. */
export async function mountTerminationLog() {
  const folder = await mkdtemp(join(tmpdir(), 'alteration-termination-'));
  whenOver(() => rm(folder, { recursive: true, force: true }));
  const file = join(folder, 'termination-log');
  await writeFile(file, '');
  await chmod(file, 0o666);
  return { mount: `--volume=${file}:/dev/termination-log`, read: () => readFile(file, 'utf8') };
}
