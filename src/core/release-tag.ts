import { compareVersions, parseReleasedVersion, type Version } from './version.ts';

/** A tag of a commit. */
export interface Tag {
  readonly name: string;
  /** Object id of the commit. */
  readonly commit: string;
  /** Object id of the commit's tree. */
  readonly tree: string;
  /** Unix seconds. */
  readonly committedAt: number;
}

export interface VersionTag extends Tag {
  /** What stands before `@`; empty for a version alone. */
  readonly product: string;
  readonly version: Version;
}

/**
 * The tag of the release before `head`: the newest version of `v1.4.0`, `1.4.0` and `name@1.4.0` that is not `head`
 * itself. Versions of different products do not compare: of those the one that was committed last counts.
 */
export function findPreviousRelease(tags: readonly VersionTag[], head: string): VersionTag | undefined {
  return [...findNewest(tags.filter(({ commit }) => commit !== head))].sort(byCommitThenProduct)[0];
}

/**
 * Those of which the previous release is one, whatever builds on what: the newest version of each product, and what was
 * committed last, as a version of another count (`2023.1.1`) may stay the newest for ever.
 */
export function listCandidates(tags: readonly VersionTag[]): readonly VersionTag[] {
  const last = tags.reduce((latest, { committedAt }) => Math.max(latest, committedAt), 0);
  return [...new Set([...findNewest(tags), ...tags.filter(({ committedAt }) => committedAt === last)])];
}

function findNewest(tags: readonly VersionTag[]): Iterable<VersionTag> {
  const newest = new Map<string, VersionTag>();
  for (const tag of tags) {
    const known = newest.get(tag.product);
    if (!known || compareVersions(tag.version, known.version) > 0) newest.set(tag.product, tag);
  }
  return newest.values();
}

/** Undefined for a tag that names no version. */
export function parseVersionTag(tag: Tag): VersionTag | undefined {
  const at = tag.name.lastIndexOf('@');
  const version = parseReleasedVersion(tag.name.slice(at + 1));
  return version === undefined ? undefined : { ...tag, version, product: tag.name.slice(0, Math.max(at, 0)) };
}

/** Tags of one commit: the version alone first. */
function byCommitThenProduct(left: VersionTag, right: VersionTag): number {
  return right.committedAt - left.committedAt || (left.product < right.product ? -1 : 1);
}
