import compare from 'semver/functions/compare.js';
import parse from 'semver/functions/parse.js';

/** A released version in canonical semver (`1.0.0-beta.10`), or `next`: not released yet. */
export type Version = string;

export const next: Version = 'next';

// Most versions are plain. A folder has thousands of them, and a deploy with nothing to do reads and orders them all.
const plain = /^(?:0|[1-9]\d{0,14})(?:\.(?:0|[1-9]\d{0,14})){2}$/;

/** Orders by semver; `next` comes last. */
export function compareVersions(left: Version, right: Version): number {
  if (left === right) return 0;
  if (left === next) return 1;
  if (right === next) return -1;
  return left.includes('-') || right.includes('-') ? compare(left, right) : comparePlain(left, right);
}

/** Two that differ and have no prerelease: where they part, the longer number is the greater, or the greater digit. */
function comparePlain(left: Version, right: Version): number {
  let at = 0;
  while (left[at] === right[at]) at += 1;
  const digits = countDigits(left, at) - countDigits(right, at);
  return Math.sign(digits || left.charCodeAt(at) - right.charCodeAt(at));
}

function countDigits(text: string, from: number): number {
  const end = text.indexOf('.', from);
  return (end === -1 ? text.length : end) - from;
}

/** Canonical semver without build metadata, a leading `v` allowed; undefined for anything else. */
export function parseReleasedVersion(text: string): Version | undefined {
  if (plain.test(text)) return text;
  const parsed = parse(text);
  return parsed && parsed.build.length === 0 ? parsed.version : undefined;
}

/** The version as file names spell it: the hyphens of a prerelease become underscores. */
export function renderVersionInFileName(version: Version): string {
  return version.replaceAll('-', '_');
}
