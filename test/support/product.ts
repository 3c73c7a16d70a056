import { chmod, cp, mkdir, rm, symlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import manifest from '../../package.json' with { type: 'json' };

/** Gives the checkout of a product a node_modules with the unpacked package of the runner, as `npm ci` would. */
export async function installRunner(root: string, unpacked: string): Promise<void> {
  const modules = join(root, 'node_modules');
  await rm(modules, { force: true }); // a sandbox has a link there
  await mkdir(join(modules, '.bin'), { recursive: true });
  await cp(unpacked, join(modules, manifest.name), { recursive: true });
  const program = join(modules, manifest.name, manifest.bin.alteration);
  await chmod(program, 0o755); // as npm does
  await symlink(program, join(modules, '.bin', 'alteration'));
  for (const name of Object.keys(manifest.dependencies)) {
    await symlink(resolve('node_modules', name), join(modules, name));
  }
}
