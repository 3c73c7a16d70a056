import { compareVersions, parseReleasedVersion, type Version } from './version.ts';

/** A tag of a commit that the present one builds on. */
export interface Tag {
  readonly name: string;
  /** Object id of the commit. */
  readonly commit: string;
  /** Unix seconds. */
  readonly committedAt: number;
}

interface VersionTag extends Tag {
  /** What stands before `@`; empty for a version alone. */
  readonly product: string;
  readonly version: Version;
}

/**
 * The tag of the release before `head`: the newest version of `v1.4.0`, `1.4.0` and `name@1.4.0` that is not `head`
 * itself. Versions of different products do not compare: of those the one that was committed last counts.
 */
export function findPreviousRelease(tags: readonly Tag[], head: string): Tag | undefined {
  const newest = new Map<string, VersionTag>();
  for (const tag of tags) {
    const parsed = tag.commit === head ? undefined : parseVersionTag(tag);
    if (parsed === undefined) continue;
    const known = newest.get(parsed.product);
    if (!known || compareVersions(parsed.version, known.version) > 0) newest.set(parsed.product, parsed);
  }
  const [last] = [...newest.values()].sort(byCommitThenProduct);
  return last && { name: last.name, commit: last.commit, committedAt: last.committedAt };
}

function parseVersionTag(tag: Tag): VersionTag | undefined {
  const at = tag.name.lastIndexOf('@');
  const version = parseReleasedVersion(tag.name.slice(at + 1));
  return version === undefined ? undefined : { ...tag, version, product: tag.name.slice(0, Math.max(at, 0)) };
}

/** Tags of one commit: the version alone first. */
function byCommitThenProduct(left: VersionTag, right: VersionTag): number {
  return right.committedAt - left.committedAt || (left.product < right.product ? -1 : 1);
}
