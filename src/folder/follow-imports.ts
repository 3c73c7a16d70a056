import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { candidatesFor, isModuleFile, nameInFolder, resolveInside, scanSpecifiers } from './module-files.ts';

/** A relative import, by paths from the folder. */
export interface ImportLink {
  /** Files that it may mean, whether or not there are any. */
  readonly candidates: readonly string[];
  /** The one that it means now, where that is in the folder. */
  readonly found?: string;
}

/** The relative imports of a module and of the files that it imports from the folder. */
export async function followImports(folder: string, file: string): Promise<readonly ImportLink[]> {
  const links: ImportLink[] = [];
  const visited = new Set([file]); // grows while it is walked
  for (const importer of visited) {
    const path = join(folder, importer);
    for (const specifier of await listSpecifiers(path)) {
      const candidates = candidatesFor(join(dirname(path), specifier)).map((each) =>
        nameInFolder(folder, each),
      );
      const target = resolveInside(folder, path, specifier);
      const found = target && nameInFolder(folder, target);
      links.push({ candidates, ...(found ? { found } : {}) });
      if (found) visited.add(found);
    }
  }
  return links;
}

async function listSpecifiers(path: string): Promise<readonly string[]> {
  if (!isModuleFile(path)) return [];
  const text = await readFile(path, 'utf8').catch(() => ''); // one that cannot be read is told by who loads it
  return scanSpecifiers(text).specifiers;
}
