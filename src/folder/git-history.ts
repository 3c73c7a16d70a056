import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { examineNames } from '../core/assemble-alterations.ts';
import {
  type Blob,
  type Change,
  type Commit,
  createLookup,
  createTimeline,
  findIntroductions,
  findReleasesByName,
  type Timeline,
  type Tree,
} from '../core/folder-timeline.ts';
import { findPreviousRelease, type Tag } from '../core/release-tag.ts';
import type { Released } from '../core/released-rule.ts';
import { next } from '../core/version.ts';
import { createGit, type Environment, type Git, GitFailure } from './git.ts';

/** A released alteration, with the files of the folder as they were then. */
export interface GitRelease extends Released {
  readonly blobAt: (path: string) => Blob | undefined;
}

/** What git tells of the folder's past. */
export type GitHistory =
  | { readonly kind: 'none'; readonly reason: 'no-git' | 'no-repository' | 'ignored' }
  | { readonly kind: 'unknown'; readonly message: string }
  | {
      readonly kind: 'known';
      /** Tag of the previous release, or `history`. */
      readonly comparedWith: string;
      /** Moment at which each alteration came, by identity; 0: with the previous release or before. */
      readonly introduced: ReadonlyMap<string, number>;
      readonly releases: readonly GitRelease[];
      /** The last commit's files. */
      readonly tracked: Tree;
      /** Top folder of the work tree. */
      readonly root: string;
      readonly git: Git;
    };

/**
 * Reads the history of a folder along first parents, with a fixed number of git processes. Writes nothing. Throws a
 * GitFailure, which `describeGitFailure` makes a history of.
 */
export async function readGitHistory(
  folder: string,
  { env, stop }: { readonly env: Environment; readonly stop?: AbortSignal },
): Promise<GitHistory> {
  const place = await realpath(folder);
  return readHistory(createGit(place, env, stop), place);
}

/** What a failure of git lets know. */
export function describeGitFailure({ kind, words }: GitFailure): Exclude<GitHistory, { kind: 'known' }> {
  if (kind === 'absent') return { kind: 'none', reason: 'no-git' };
  // "not a git repository: <path>" is one whose .git leads nowhere
  if (/not a git repository \(or any/.test(words)) return { kind: 'none', reason: 'no-repository' };
  const isOwnership = /dubious ownership|safe\.directory/.test(words);
  const message = isOwnership
    ? `git refuses to read this repository for its owner, and so order and released files were not compared. Trust it in the job that runs this check, as git says: ${words}`
    : `git cannot tell the history of this folder, and so order and released files were not compared: ${words}`;
  return { kind: 'unknown', message };
}

async function readHistory(git: Git, place: string): Promise<GitHistory> {
  const facts = await git(['rev-parse', '--is-inside-work-tree', '--is-shallow-repository', '--show-cdup']);
  const [inside, shallow, up = ''] = facts.split('\n');
  if (inside !== 'true') return { kind: 'none', reason: 'no-repository' };
  const head = await findHead(git);
  const tag = head === undefined ? undefined : findPreviousRelease(await listTags(git, head), head);
  if (shallow === 'true' && tag === undefined) return cutOff;
  const tracked = head === undefined ? new Map() : await readTree(git, head);
  const released = tag && (await readTree(git, tag.commit));
  if (tracked.size === 0 && !released?.size && (await isIgnored(git)))
    return { kind: 'none', reason: 'ignored' };
  const { commits, whole } = head === undefined ? noCommits : await listCommits(git, head, tag);
  if (shallow === 'true' && !whole) return cutOff;
  const timeline = createTimeline(tracked, commits);
  const root = join(place, up);
  const common = { kind: 'known', tracked, root, git } as const;
  return tag && released
    ? { ...common, comparedWith: tag.name, ...describeTagged(timeline, tag, released) }
    : { ...common, comparedWith: 'history', ...describeUntagged(timeline) };
}

const cutOff: GitHistory = {
  kind: 'unknown',
  message:
    'This is a shallow clone, in which the previous release cannot be found, and so order and released files were not compared. Fetch the whole history with its tags: "fetch-depth: 0" for actions/checkout, "GIT_DEPTH: 0" for GitLab, "git fetch --unshallow --tags" elsewhere.',
};

const noCommits = { commits: [], whole: true };

/** Undefined in a repository without commits. */
async function findHead(git: Git): Promise<string | undefined> {
  return (await ask(git, ['rev-parse', '--verify', '--quiet', 'HEAD']))?.trim();
}

/** Tags of the commits that `head` builds on. */
async function listTags(git: Git, head: string): Promise<readonly Tag[]> {
  const fields = [
    'refname:strip=2',
    'objectname',
    '*objectname',
    'committerdate:unix',
    '*committerdate:unix',
  ];
  const format = fields.map((field) => `%(${field})`).join('\t');
  const lines = await git(['for-each-ref', `--merged=${head}`, `--format=${format}`, 'refs/tags']);
  return lines.split('\n').flatMap((line) => {
    // an annotated tag is an object of its own; what it points at has the `*`
    const [name, object = '', commit, date = '', commitDate] = line.split('\t');
    return name ? [{ name, commit: commit || object, committedAt: Number(commitDate || date) }] : [];
  });
}

/** The files of the folder in a commit; of a submodule this repository knows no files. */
async function readTree(git: Git, commit: string): Promise<Tree> {
  const output = await git(['ls-tree', '-r', '-z', commit]);
  return new Map(
    output.split('\0').flatMap((entry) => {
      const [, mode = '', id = '', path = ''] = /^(\d+) blob (\w+)\t(.*)$/s.exec(entry) ?? [];
      return path === '' ? [] : [[path, { mode, id }] as const];
    }),
  );
}

async function isIgnored(git: Git): Promise<boolean> {
  return (await ask(git, ['check-ignore', '--quiet', '.'])) !== undefined;
}

/** Undefined where git says no. */
async function ask(git: Git, args: readonly string[]): Promise<string | undefined> {
  return git(args).catch((error: unknown) => {
    if (error instanceof GitFailure && error.kind === 'no') return undefined;
    throw error;
  });
}

/** The commits of the first-parent line that changed the folder, since the tag where there is one. */
async function listCommits(git: Git, head: string, tag: Tag | undefined) {
  const range = tag ? [head, `^${tag.commit}`] : [head];
  const diff = ['-m', '--raw', '-z', '--no-abbrev', '--no-renames', '--relative', '--no-color'];
  const format = '--format=format:%H %P';
  const output = await git(['log', '--first-parent', ...diff, format, ...range, '--', '.']);
  return parseLog(output);
}

/** `whole`: whether no commit of it lacks its parents, as those do at which a shallow clone ends. */
function parseLog(output: string): { readonly commits: readonly Commit[]; readonly whole: boolean } {
  const commits: { readonly id: string; readonly changes: Change[] }[] = [];
  let whole = true;
  // `<id> <parents>\n:<modes, ids, status>` NUL `<path>` NUL `:<…>` NUL `<path>` NUL NUL `<id> …`
  const tokens = output.split('\0').values();
  for (const token of tokens) {
    const [head = '', ...rest] = token.startsWith(':') ? ['', token] : token.split('\n');
    if (head !== '') {
      const [id = '', ...parents] = head.trim().split(' ');
      commits.push({ id, changes: [] });
      whole &&= parents.length > 0;
    }
    const change = parseChange(rest.at(-1), tokens);
    if (change) commits.at(-1)?.changes.push(change);
  }
  return { commits: commits.reverse(), whole };
}

function parseChange(fields: string | undefined, tokens: Iterator<string, undefined>): Change | undefined {
  const [, oldMode, newMode, oldId, newId] = /^:(\d+) (\d+) (\w+) (\w+) \w+$/.exec(fields ?? '') ?? [];
  if (!oldMode || !newMode || !oldId || !newId) return undefined;
  const path = tokens.next().value ?? '';
  const before = describeBlob(oldMode, oldId);
  const after = describeBlob(newMode, newId);
  return { path, ...(before ? { before } : {}), ...(after ? { after } : {}) };
}

/** Nothing (`000000`) and a submodule (`160000`) are no files. */
function describeBlob(mode: string, id: string): Blob | undefined {
  return /^(?:000000|160000)$/.test(mode) ? undefined : { mode, id };
}

function describeTagged(timeline: Timeline, tag: Tag, tree: Tree) {
  const { alterations } = examineNames([...tree.keys()]);
  const inRelease = alterations.map(({ id }) => [id, 0] as const);
  const origin = `was released with ${tag.name}`;
  const blobAt = (path: string) => tree.get(path);
  return {
    introduced: new Map([...findIntroductions(timeline), ...inRelease]),
    releases: alterations
      .filter(({ version }) => version !== next)
      .map((alteration): GitRelease => ({ alteration, origin, blobAt })),
  };
}

function describeUntagged(timeline: Timeline) {
  const lookUp = createLookup(timeline);
  return {
    introduced: findIntroductions(timeline),
    releases: findReleasesByName(timeline).map(({ alteration, moment }): GitRelease => {
      const commit = timeline.commits[moment - 1]?.id.slice(0, 8);
      const origin = `got its version with commit ${commit}`;
      return { alteration, origin, blobAt: (path) => lookUp(path, moment) };
    }),
  };
}
