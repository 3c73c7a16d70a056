import { execFile } from 'node:child_process';
import { access, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FolderError } from '../core/errors.ts';

const run = promisify(execFile);

export interface FileRenaming {
  readonly from: string;
  readonly to: string;
}

/** Renames files of a folder, with git where git tracks them: all of them, or none. Throws a FolderError. */
export async function renameFiles(folder: string, renamings: readonly FileRenaming[]): Promise<void> {
  const tracked = await listTracked(folder);
  const done: FileRenaming[] = [];
  try {
    for (const renaming of renamings) {
      await renameFile(folder, renaming, tracked);
      done.push(renaming);
    }
  } catch (error) {
    for (const { from, to } of done.reverse()) {
      await renameFile(folder, { from: to, to: from }, new Set(tracked.has(from) ? [to] : []));
    }
    throw error;
  }
}

async function renameFile(
  folder: string,
  { from, to }: FileRenaming,
  tracked: ReadonlySet<string>,
): Promise<void> {
  if (await exists(join(folder, to))) throw cannot(from, to, 'a file of that name exists');
  try {
    if (tracked.has(from)) await run('git', ['-C', folder, 'mv', '--', from, to]);
    else await rename(join(folder, from), join(folder, to));
  } catch (error) {
    throw cannot(from, to, error instanceof Error ? error.message.trim() : String(error));
  }
}

/** Names that git tracks in the folder; none where there is no repository or no git. */
async function listTracked(folder: string): Promise<ReadonlySet<string>> {
  try {
    const { stdout } = await run('git', ['-C', folder, 'ls-files', '-z', '--', '.'], { maxBuffer: 2 ** 26 });
    return new Set(stdout.split('\0').filter(Boolean));
  } catch {
    return new Set();
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function cannot(from: string, to: string, reason: string): FolderError {
  return new FolderError(`"${from}" cannot be renamed to "${to}": ${reason}.`, {
    hint: 'No file was renamed.',
  });
}
