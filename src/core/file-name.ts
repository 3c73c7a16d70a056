import { type Alteration, alterationId, parseAlterationId } from './alteration.ts';
import { next, parseReleasedVersion, type Version } from './version.ts';

/** What a file name in the alterations folder says. */
export type ParsedFileName =
  | { readonly kind: 'alteration'; readonly part: 'whole' | 'up' | 'down'; readonly alteration: Alteration }
  | { readonly kind: 'malformed'; readonly reason: string }
  | { readonly kind: 'other' };

const pattern = '<version>-<timestamp>-<name>.ts, .mts, .js, .mjs, .sql, or .up.sql with .down.sql';
const extension = /\.up\.sql$|\.down\.sql$|\.sql$|\.m?[tj]s$/;
/** What every alteration is called; whether its version is one is not told by this. */
const shape =
  /^(next|\d[^-]*)-(\d{1,10}(?:\.\d{1,9})?)-([a-z0-9]+(?:-[a-z0-9]+)*)(\.(?:up\.|down\.)?sql|\.m?[tj]s)$/;

/** Reads a file name. A name that looks like an alteration and is none is malformed, any other is `other`. */
export function parseFileName(file: string): ParsedFileName {
  const [, versionText = '', timestamp = '', name = '', ending = ''] = shape.exec(file) ?? [];
  const version = parseVersionPart(versionText);
  const parsedId = parseAlterationId(timestamp);
  if (version === undefined || parsedId === undefined) return explain(file);
  const { seconds, suffix } = parsedId;
  const format = ending.endsWith('sql') ? 'sql' : 'module';
  const part = ending === '.up.sql' ? 'up' : ending === '.down.sql' ? 'down' : 'whole';
  const id = alterationId(seconds, suffix);
  return { kind: 'alteration', part, alteration: { id, version, seconds, suffix, name, file, format } };
}

/** What a file is that is called otherwise. */
function explain(file: string): ParsedFileName {
  if (/\.d\.[cm]?ts$|\.map$/.test(file)) return { kind: 'other' };
  const ending = extension.exec(file)?.[0];
  if (!looksLikeAlteration(file, ending)) return { kind: 'other' };
  if (!ending) return malformed(`has an extension that no alteration has; expected ${pattern}`);
  return malformed(describeProblem(file.slice(0, -ending.length)));
}

function looksLikeAlteration(file: string, ending: string | undefined): boolean {
  if (/^(?:next-|v?\d+\.\d+\.\d+)/i.test(file)) return true;
  return ending !== undefined && /^v?\d/i.test(file);
}

function describeProblem(stem: string): string {
  const [version = '', timestamp = '', ...words] = stem.split('-');
  if (parseVersionPart(version) === undefined) return describeVersionProblem(version);
  if (!parseAlterationId(timestamp)) return describeTimestampProblem(version, timestamp, words);
  return describeNameProblem(words.join('-'));
}

function parseVersionPart(text: string): Version | undefined {
  if (text === next) return next;
  return /^\d/.test(text) ? parseReleasedVersion(text.replaceAll('_', '-')) : undefined;
}

function describeVersionProblem(text: string): string {
  const hint = /^v\d/i.test(text)
    ? 'file names carry no leading "v"'
    : text.includes('+')
      ? 'build metadata ("+") has no place in a file name'
      : 'expected semver with the "-" of a prerelease written "_" (1.0.0_beta.10), or "next"';
  return `has "${text}" where a version belongs; ${hint}`;
}

function describeTimestampProblem(version: string, timestamp: string, words: readonly string[]): string {
  const [following = ''] = words;
  if (/^[a-z]/i.test(timestamp) && parseAlterationId(following)) {
    return `has a prerelease written with "-"; expected "_": ${version}_${timestamp}-${following}`;
  }
  const found =
    timestamp === '' ? 'has no timestamp after the version' : `has "${timestamp}" where a timestamp belongs`;
  return `${found}; expected unix seconds of at most 10 digits, optionally with a numeric suffix (1674032095.3)`;
}

function describeNameProblem(name: string): string {
  const rule = 'lower-case letters and digits in words joined by "-"';
  return name === ''
    ? `has no name after the timestamp; expected ${rule}`
    : `has the name "${name}"; expected ${rule}`;
}

function malformed(reason: string): ParsedFileName {
  return { kind: 'malformed', reason };
}
