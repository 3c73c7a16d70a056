import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FolderError } from '../core/errors.ts';
import type { Tree } from '../core/folder-timeline.ts';
import type { Git } from './git.ts';

/**
 * Lays each tree out in a folder of its own for the time of the work, as a checkout would: with the repository's
 * filters, and nothing of the user's index or work tree touched. `root` is the top of the work tree.
 */
export async function withCheckedOut<T>(
  { git, root }: { readonly git: Git; readonly root: string },
  trees: readonly Tree[],
  work: (folders: readonly string[]) => Promise<T>,
): Promise<T> {
  const folder = await makeTemporaryFolder();
  try {
    const call = { index: join(folder, 'index'), cwd: root };
    const input = trees.flatMap((tree, number) =>
      [...tree].map(([path, { mode, id }]) => `${mode} blob ${id}\t${number}/${path}\0`),
    );
    if (input.length > 0) {
      await git(['update-index', '-z', '--index-info'], { ...call, input: input.join('') });
      await git(['checkout-index', '--all', `--prefix=${join(folder, 'trees')}/`], call);
    }
    return await work(trees.map((_, number) => join(folder, 'trees', String(number))));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function makeTemporaryFolder(): Promise<string> {
  try {
    return await mkdtemp(join(tmpdir(), 'alteration-'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new FolderError(`No temporary folder can be made: ${reason}.`, {
      hint: 'Name one that can be written with TMPDIR.',
      cause: error,
    });
  }
}
