import { InvalidTargetError } from './errors.ts';
import { compareVersions, next, parseReleasedVersion, type Version } from './version.ts';

/** How far to go: every released version, everything, or every version up to one. */
export type Target =
  | { readonly kind: 'latest' }
  | { readonly kind: 'next' }
  | { readonly kind: 'version'; readonly version: Version };

/** Reads `latest`, `next` or a version (a leading `v` is fine). Throws an InvalidTargetError. */
export function parseTarget(text: string): Target {
  if (text === 'latest' || text === 'next') return { kind: text };
  const version = parseReleasedVersion(text.replaceAll('_', '-'));
  if (version === undefined) throw new InvalidTargetError(text, describeTargets(text));
  return { kind: 'version', version };
}

export function renderTarget(target: Target): string {
  return target.kind === 'version' ? target.version : target.kind;
}

/** Whether alterations of the version belong to the target. */
export function targetIncludes(target: Target, version: Version): boolean {
  if (target.kind === 'next') return true;
  if (target.kind === 'latest') return version !== next;
  return compareVersions(version, target.version) <= 0;
}

function describeTargets(text: string): string {
  if (text.includes('+')) return 'Build metadata ("+") has no order in semver; leave it out.';
  const [, major, minor = '.0'] = /^v?(\d+)(\.\d+)?$/.exec(text) ?? [];
  const meant = major && parseReleasedVersion(`${major}${minor}.0`);
  if (meant) return `A version has three numbers: did you mean "${meant}"?`;
  return 'A target is "latest", "next" or a version such as 1.4.0.';
}
