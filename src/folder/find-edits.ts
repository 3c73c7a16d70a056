import { copyFile, mkdir, readFile, readlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Alteration } from '../core/alteration.ts';
import { UnusableAlterationError } from '../core/errors.ts';
import type { Blob, Tree } from '../core/folder-timeline.ts';
import type { Edit, Kept } from '../core/released-rule.ts';
import { withCheckedOut } from './check-out.ts';
import { checksumSql, digest, openChecksums } from './checksum.ts';
import { followImports, type ImportLink } from './follow-imports.ts';
import type { Git } from './git.ts';
import type { GitRelease } from './git-history.ts';

/** A released alteration and an edit that it has seen since. */
export interface Edited {
  readonly kept: Kept;
  readonly edit: Edit;
}

interface Repository {
  readonly git: Git;
  /** Top folder of the work tree. */
  readonly root: string;
  /** The last commit's files. */
  readonly tracked: Tree;
}

/** Compares released alterations with their files in the folder, by the checksums that a deploy goes by. */
export async function findEdits(
  folder: string,
  kept: readonly Kept<GitRelease>[],
  repository: Repository,
): Promise<readonly Edited[]> {
  const comparisons: Comparison[] = [];
  for (const one of kept) comparisons.push({ kept: one, links: await linksOf(folder, one.now) });
  const { trees, numbers } = arrangeTrees(comparisons);
  return withCheckedOut(repository, trees, async (befores) => {
    const edited: Edited[] = [];
    for (const [index, comparison] of comparisons.entries()) {
      const before = befores[numbers[index] ?? 0] ?? '';
      await copyUntracked(folder, before, comparison, repository.tracked);
      const edits = await compare(folder, before, comparison);
      edited.push(...edits.map((edit) => ({ kept: comparison.kept, edit })));
    }
    return edited;
  });
}

interface Comparison {
  readonly kept: Kept<GitRelease>;
  /** What the module imports from the folder. */
  readonly links: readonly ImportLink[];
}

async function linksOf(folder: string, { file, format }: Alteration): Promise<readonly ImportLink[]> {
  return format === 'module' ? followImports(folder, file) : [];
}

/** As few trees as hold each alteration beside the imports of its day; the number of each one's tree. */
function arrangeTrees(comparisons: readonly Comparison[]) {
  const trees: Map<string, Blob>[] = [];
  const byImports = new Map<string, number>();
  const numbers = comparisons.map(({ kept: { released }, links }) => {
    const { alteration, blobAt } = released;
    const imported = links.flatMap(({ candidates }) => candidates).flatMap((path) => entryOf(path, blobAt));
    const key = JSON.stringify(imported);
    const number = byImports.get(key) ?? trees.push(new Map(imported)) - 1;
    byImports.set(key, number);
    for (const file of filesOf(alteration)) {
      for (const [path, blob] of entryOf(file, blobAt)) trees[number]?.set(path, blob);
    }
    return number;
  });
  return { trees, numbers };
}

function entryOf(path: string, blobAt: GitRelease['blobAt']): readonly (readonly [string, Blob])[] {
  const blob = blobAt(path);
  return blob ? [[path, blob]] : [];
}

function filesOf({ file, downFile }: Alteration): readonly string[] {
  return downFile === undefined ? [file] : [file, downFile];
}

/** What a module imports and git does not know (generated code, a submodule) counts as it is now. */
async function copyUntracked(
  folder: string,
  before: string,
  { kept: { released }, links }: Comparison,
  tracked: Tree,
): Promise<void> {
  for (const { candidates, found } of links) {
    if (found === undefined || tracked.has(found) || candidates.some(released.blobAt)) continue;
    await mkdir(dirname(join(before, found)), { recursive: true });
    await copyFile(join(folder, found), join(before, found));
  }
}

async function compare(folder: string, before: string, comparison: Comparison): Promise<readonly Edit[]> {
  const { now, released } = comparison.kept;
  const was = released.alteration;
  const { file, downFile } = now;
  if (now.format !== was.format) return [{ kind: 'content', file }];
  if (now.format === 'module') return compareModules(folder, before, comparison);
  const edits: Edit[] = (await isSameSql(folder, file, before, was.file)) ? [] : [{ kind: 'content', file }];
  if (was.downFile === undefined) return edits;
  if (downFile === undefined) return [...edits, { kind: 'no-way-back', file, downFile: was.downFile }];
  const same = await isSameSql(folder, downFile, before, was.downFile);
  return same ? edits : [...edits, { kind: 'content', file: downFile }];
}

async function isSameSql(folder: string, file: string, before: string, oldFile: string): Promise<boolean> {
  const texts = await readBoth(join(folder, file), join(before, oldFile));
  return checksumSql(texts.now) === checksumSql(texts.was);
}

async function compareModules(
  folder: string,
  before: string,
  { kept: { now, released }, links }: Comparison,
): Promise<readonly Edit[]> {
  const { file } = now;
  const texts = await readBoth(join(folder, file), join(before, released.alteration.file));
  const sameText = texts.now === texts.was;
  if (sameText && (links.length === 0 || texts.of === 'link')) return [];
  const checksums = [
    await checksumOrDigest(folder, now, texts.now),
    await checksumOrDigest(before, released.alteration, texts.was),
  ];
  return checksums[0] === checksums[1] ? [] : [{ kind: sameText ? 'import' : 'content', file }];
}

/** A module that cannot be parsed is still what it was where its text is. */
async function checksumOrDigest(folder: string, alteration: Alteration, text: string): Promise<string> {
  try {
    return (await openChecksums(folder).of(alteration)).checksum;
  } catch (error) {
    if (error instanceof UnusableAlterationError) return digest(text);
    throw error;
  }
}

interface Texts {
  readonly of: 'file' | 'link';
  readonly now: string;
  readonly was: string;
}

/** A file now and then. What was a link compares by where it leads; what cannot be read now, who loads it tells. */
async function readBoth(path: string, oldPath: string): Promise<Texts> {
  const target = await readlink(oldPath).catch(() => undefined);
  if (target !== undefined) return { of: 'link', was: target, now: await readlink(path).catch(() => '') };
  const was = await readFile(oldPath, 'utf8');
  return { of: 'file', was, now: await readFile(path, 'utf8').catch(() => was) };
}
