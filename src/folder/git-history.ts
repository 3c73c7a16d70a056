import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { Alteration } from '../core/alteration.ts';
import { examineNames } from '../core/assemble-alterations.ts';
import {
  type Blob,
  type Change,
  type Commit,
  createLookup,
  createTimeline,
  findIntroductions,
  findReleasesByName,
  listVersionedStates,
  type Timeline,
  type Tree,
} from '../core/folder-timeline.ts';
import {
  findPreviousRelease,
  listCandidates,
  parseVersionTag,
  type VersionTag,
} from '../core/release-tag.ts';
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
      /** Identities of those that are no longer new. */
      readonly settled: ReadonlySet<string>;
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
  const tracked = head === undefined ? new Map() : await readTree(git, head);
  const tag = head === undefined ? undefined : await findPrevious(git, head, tracked);
  if (shallow === 'true' && tag === undefined) return cutOff;
  const released = tag?.files;
  if (tracked.size === 0 && !released?.size && (await isIgnored(git)))
    return { kind: 'none', reason: 'ignored' };
  const { commits, whole } = head === undefined ? noCommits : await listCommits(git, head, tag);
  if (shallow === 'true' && !whole) return cutOff;
  const timeline = createTimeline(tracked, commits);
  const root = join(place, up);
  const common = { kind: 'known', tracked, root, git } as const;
  return tag
    ? {
        ...common,
        comparedWith: tag.name,
        ...describeTagged(timeline, tag, await listBeside(git, tag, tracked)),
      }
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

/** A release, with the folder's files in it. */
interface TaggedRelease extends VersionTag {
  readonly files: Tree;
}

/** The release before `head`; one without the folder only where none has it. */
async function findPrevious(git: Git, head: string, tracked: Tree): Promise<TaggedRelease | undefined> {
  const tags = (await listTags(git, `--merged=${head}`)).filter(({ commit }) => commit !== head);
  const all = await readReleases(git, tags, tracked);
  const having = all.filter(({ files }) => files.size > 0);
  const releases = having.length > 0 ? having : all;
  const previous = findPreviousRelease(await dropAncestors(git, listCandidates(releases)), head);
  return releases.find(({ name }) => name === previous?.name);
}

/** The releases that the previous one does not build on, be they on this branch or another. */
async function listBeside(git: Git, previous: VersionTag, tracked: Tree): Promise<readonly TaggedRelease[]> {
  return readReleases(git, await listTags(git, `--no-merged=${previous.commit}`), tracked);
}

/** Leaves out the tags that others build on. */
async function dropAncestors(git: Git, tags: readonly VersionTag[]): Promise<readonly VersionTag[]> {
  const commits = new Set(tags.map(({ commit }) => commit));
  if (commits.size === 0) return tags;
  const last = new Set((await git(['merge-base', '--independent', ...commits])).split('\n'));
  return tags.filter(({ commit }) => last.has(commit));
}

/** The tags of versions. `filter` is an option of `git for-each-ref`. */
async function listTags(git: Git, filter: string): Promise<readonly VersionTag[]> {
  const fields = [
    'refname:strip=2',
    'objectname',
    '*objectname',
    'tree',
    '*tree',
    'committerdate:unix',
    '*committerdate:unix',
  ];
  const format = fields.map((field) => `%(${field})`).join('\t');
  const lines = await git(['for-each-ref', filter, `--format=${format}`, 'refs/tags']);
  return lines.split('\n').flatMap((line) => {
    // an annotated tag is an object of its own; what it points at has the `*`
    const [name = '', object = '', target, own = '', its, date, itsDate] = line.split('\t');
    const [commit, tree, committedAt] = [target || object, its || own, Number(itsDate || date)];
    return tree ? (parseVersionTag({ name, commit, tree, committedAt }) ?? []) : [];
  });
}

/** Reads the trees of all tags at once, as what differs from the last commit's. */
async function readReleases(
  git: Git,
  tags: readonly VersionTag[],
  tracked: Tree,
): Promise<readonly TaggedRelease[]> {
  if (tags.length === 0) return [];
  const head = (await git(['rev-parse', 'HEAD^{tree}'])).trim();
  const ids = [...new Set(tags.map(({ tree }) => tree))];
  const diff = ['-r', '--raw', '-z', '--no-abbrev', '--no-renames', '--relative', '--no-color'];
  const input = ids.map((id) => `${head} ${id}\n`).join('');
  const changes = parseDiffs(await git(['diff-tree', '--stdin', ...diff, '--', '.'], { input }));
  const trees = new Map(ids.map((id) => [id, applyChanges(tracked, changes.get(id) ?? [])]));
  return tags.map((tag) => ({ ...tag, files: trees.get(tag.tree) ?? new Map() }));
}

/** What leads to each tree, by its id. */
function parseDiffs(output: string): ReadonlyMap<string, readonly Change[]> {
  const diffs = new Map<string, Change[]>();
  let current: Change[] = [];
  // `<tree> <tree>\n:<modes, ids, status>` NUL `<path>` NUL `:<…>` NUL `<path>` NUL `<tree> <tree>\n…`
  const tokens = output.split('\0').values();
  for (const token of tokens) {
    for (const line of token.split('\n')) {
      const [, id] = /^\w+ (\w+)$/.exec(line) ?? [];
      if (id !== undefined) {
        current = [];
        diffs.set(id, current);
      }
      const change = parseChange(line, tokens);
      if (change) current.push(change);
    }
  }
  return diffs;
}

function applyChanges(tree: Tree, changes: readonly Change[]): Tree {
  if (changes.length === 0) return tree; // most tags of a big repository leave the folder alone
  const files = new Map(tree);
  for (const { path, after } of changes) {
    if (after) files.set(path, after);
    else files.delete(path);
  }
  return files;
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
async function listCommits(git: Git, head: string, tag: VersionTag | undefined) {
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

function describeTagged(timeline: Timeline, tag: TaggedRelease, beside: readonly TaggedRelease[]) {
  const { alterations } = examineNames([...tag.files.keys()]);
  const inRelease = alterations.map(({ id }) => [id, 0] as const);
  const released = alterations.filter(({ version }) => version !== next);
  const settled = new Set(released.map(({ id }) => id));
  const others = findReleasedBeside(timeline, beside).filter(({ alteration }) => !settled.has(alteration.id));
  return {
    introduced: new Map([...findIntroductions(timeline), ...inRelease]),
    releases: [...released.map((alteration) => describeRelease(alteration, tag)), ...others],
    settled,
  };
}

function describeRelease(alteration: Alteration, { name, files }: TaggedRelease): GitRelease {
  return { alteration, origin: `was released with ${name}`, blobAt: (path) => files.get(path) };
}

/**
 * What was released beside the previous release, by hotfixes, branches that were squashed, the last commit itself: what
 * this line has held as it stands in such a release, once its version is tagged. A line that has only held it otherwise
 * left before that release, or was never part of it.
 */
function findReleasedBeside(timeline: Timeline, beside: readonly TaggedRelease[]): readonly GitRelease[] {
  const lookUp = createLookup(timeline);
  const tagged = new Set(beside.map(({ version }) => version));
  const found = new Map<string, GitRelease>();
  for (const { alteration, moment } of listVersionedStates(timeline)) {
    const { id, file, version } = alteration;
    if (!tagged.has(version)) continue;
    const blob = lookUp(file, moment);
    const same = beside.filter(({ files }) => blob && files.get(file)?.id === blob.id);
    const release = same.find((one) => one.version === version) ?? same[0];
    if (release) found.set(id, describeRelease(alteration, release));
  }
  return [...found.values()];
}

function describeUntagged(timeline: Timeline) {
  const lookUp = createLookup(timeline);
  const named = findReleasesByName(timeline);
  return {
    introduced: findIntroductions(timeline),
    settled: new Set(named.map(({ alteration: { id } }) => id)),
    releases: named.map(({ alteration, moment }): GitRelease => {
      const commit = timeline.commits[moment - 1]?.id.slice(0, 8);
      const origin = `got its version with commit ${commit}`;
      return { alteration, origin, blobAt: (path) => lookUp(path, moment) };
    }),
  };
}
