import semver from 'semver';

/** A released version in canonical semver (`1.0.0-beta.10`), or `next`: not released yet. */
export type Version = string;

export const next: Version = 'next';

/** Orders by semver; `next` comes last. */
export function compareVersions(left: Version, right: Version): number {
  if (left === right) return 0;
  if (left === next) return 1;
  if (right === next) return -1;
  return semver.compare(left, right);
}

/** Canonical semver without build metadata, a leading `v` allowed; undefined for anything else. */
export function parseReleasedVersion(text: string): Version | undefined {
  const parsed = semver.parse(text);
  return parsed && parsed.build.length === 0 ? parsed.version : undefined;
}

/** The version as file names spell it: the hyphens of a prerelease become underscores. */
export function renderVersionInFileName(version: Version): string {
  return version.replaceAll('-', '_');
}
