import type { Alteration } from './alteration.ts';
import { examineNames } from './assemble-alterations.ts';
import { parseFileName } from './file-name.ts';
import { next } from './version.ts';

/** A file's content as git keeps it. */
export interface Blob {
  /** As in a git tree, such as `100644`. */
  readonly mode: string;
  /** Object id. */
  readonly id: string;
}

/** Files by their paths from the alterations folder. */
export type Tree = ReadonlyMap<string, Blob>;

/** What a commit did to a path; absent `before`: added, absent `after`: removed. */
export interface Change {
  readonly path: string;
  readonly before?: Blob;
  readonly after?: Blob;
}

export interface Commit {
  /** Object id. */
  readonly id: string;
  readonly changes: readonly Change[];
}

/**
 * The folder along the first parents of a commit. Moments count from 0, before the first of the commits; moment `n` is
 * after the `n`th of them.
 */
export interface Timeline {
  readonly start: Tree;
  /** Oldest first; a merge counts as one, with all it brought. */
  readonly commits: readonly Commit[];
}

/** The timeline that ends with this tree. */
export function createTimeline(end: Tree, commits: readonly Commit[]): Timeline {
  const start = new Map(end);
  for (const { changes } of commits.toReversed()) {
    for (const { path, before } of changes) {
      if (before) start.set(path, before);
      else start.delete(path);
    }
  }
  return { start, commits };
}

/** Looks files up as they were at a moment. */
export function createLookup({
  start,
  commits,
}: Timeline): (path: string, moment: number) => Blob | undefined {
  const changed = new Map<string, { readonly moment: number; readonly blob: Blob | undefined }[]>();
  commits.forEach(({ changes }, index) => {
    for (const { path, after } of changes) {
      const known = changed.get(path);
      const entry = { moment: index + 1, blob: after };
      if (known) known.push(entry);
      else changed.set(path, [entry]);
    }
  });
  return (path, moment) => {
    const last = changed.get(path)?.findLast((entry) => entry.moment <= moment);
    return last ? last.blob : start.get(path);
  };
}

/** The moment since which each alteration is there, by identity: a renamed one is no new one, a restored one is. */
export function findIntroductions(timeline: Timeline): ReadonlyMap<string, number> {
  const introduced = new Map<string, number>();
  for (const { moment, id, files } of replay(timeline)) {
    if (!files.some((file) => !file.endsWith('.down.sql'))) introduced.delete(id);
    else if (!introduced.has(id)) introduced.set(id, moment);
  }
  return introduced;
}

/** An alteration that was committed under its version's name. */
export interface NamedRelease {
  readonly alteration: Alteration;
  /** When it got that version. */
  readonly moment: number;
}

/** What was released, where no tag tells: by identity, and also what has been removed since. */
export function findReleasesByName(timeline: Timeline): readonly NamedRelease[] {
  const releases = new Map<string, NamedRelease>();
  for (const { moment, id, files } of replay(timeline)) {
    const [alteration] = examineNames(files).alterations;
    if (alteration?.version === next) releases.delete(id);
    else if (alteration && alteration.version !== releases.get(id)?.alteration.version)
      releases.set(id, { alteration, moment });
  }
  return [...releases.values()];
}

/** Every state of an alteration under a version's name, oldest first. */
export function listVersionedStates(timeline: Timeline): readonly NamedRelease[] {
  return [...replay(timeline)].flatMap(({ moment, files }) =>
    examineNames(files)
      .alterations.filter(({ version }) => version !== next)
      .map((alteration) => ({ alteration, moment })),
  );
}

interface Moment {
  readonly moment: number;
  readonly id: string;
  /** All that the alteration has at that moment. */
  readonly files: readonly string[];
}

/** Every alteration that a moment touched, oldest moment first. */
function* replay({ start, commits }: Timeline): Generator<Moment> {
  const present = new Map<string, Set<string>>();
  const apply = (path: string, blob: Blob | undefined): string | undefined => {
    const id = identityOf(path);
    if (id === undefined) return undefined;
    const files = present.get(id) ?? new Set();
    present.set(id, files);
    if (blob) files.add(path);
    else files.delete(path);
    return id;
  };
  const tell = function* (moment: number, touched: readonly (string | undefined)[]): Generator<Moment> {
    for (const id of new Set(touched)) {
      if (id !== undefined) yield { moment, id, files: [...(present.get(id) ?? [])] };
    }
  };
  yield* tell(
    0,
    [...start].map(([path, blob]) => apply(path, blob)),
  );
  for (const [index, { changes }] of commits.entries()) {
    yield* tell(
      index + 1,
      changes.map(({ path, after }) => apply(path, after)),
    );
  }
}

function identityOf(path: string): string | undefined {
  const parsed = parseFileName(path);
  return parsed.kind === 'alteration' ? parsed.alteration.id : undefined;
}
