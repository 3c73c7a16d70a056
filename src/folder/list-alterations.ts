import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Alteration } from '../core/alteration.ts';
import { assembleAlterations } from '../core/assemble-alterations.ts';
import { FolderError } from '../core/errors.ts';

/** The alterations of a folder, in order, by their names alone. Throws a FolderError. */
export async function listAlterations(folder: string): Promise<readonly Alteration[]> {
  return assembleAlterations(await listFiles(folder), folder);
}

/** Names of the files of a folder, folders left out. Throws a FolderError. */
export async function listFiles(folder: string): Promise<readonly string[]> {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter(
        // a mounted ConfigMap holds its files as links
        (entry) => (entry.isSymbolicLink() ? leadsToFile(join(folder, entry.name)) : entry.isFile()),
      )
      .map(({ name }) => name);
  } catch (error) {
    throw new FolderError(`The alterations folder "${folder}" cannot be read: ${describe(error)}.`, {
      hint: 'Name the folder with --dir or ALTERATION_DIR.',
      cause: error,
    });
  }
}

/** A link that leads nowhere counts as a file: if it is named like an alteration, reading it tells. */
function leadsToFile(link: string): boolean {
  try {
    return statSync(link).isFile();
  } catch {
    return true;
  }
}

function describe(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOENT') return 'it does not exist';
  if (code === 'ENOTDIR') return 'it is not a folder';
  if (code === 'EACCES') return 'permission denied';
  return error instanceof Error ? error.message : String(error);
}
