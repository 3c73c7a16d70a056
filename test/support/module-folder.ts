import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { checksumModule as checksumIn, openModules } from '../../src/folder/module-checksum.ts';
import { openModuleSources } from '../../src/folder/module-sources.ts';

/** Contents by path. */
export type Files = Readonly<Record<string, string>>;

export async function writeFiles(folder: string, files: Files): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
}

/** Does the work in a folder with these files, which is gone afterwards. */
export async function withFolder<T>(files: Files, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'module-folder-'));
  try {
    await writeFiles(folder, files);
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The checksum of a module that is the first to be read of its folder. */
export async function checksumModule(path: string, folder: string): Promise<string> {
  return checksumIn(path, openModules(openModuleSources(folder)));
}

/** The checksum of the first of the files, which may import the others. */
export function checksumOf(files: Files): Promise<string> {
  return withFolder(files, (folder) => checksumModule(join(folder, Object.keys(files)[0] ?? ''), folder));
}
