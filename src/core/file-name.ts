import { type Alteration, alterationId, parseAlterationId } from './alteration.ts';
import { next, parseReleasedVersion, type Version } from './version.ts';

/** What a file name in the alterations folder says. */
export type ParsedFileName =
  | { readonly kind: 'alteration'; readonly part: 'whole' | 'up' | 'down'; readonly alteration: Alteration }
  | { readonly kind: 'malformed'; readonly reason: string }
  | { readonly kind: 'other' };

const moduleExtensions = ['.ts', '.mts', '.js', '.mjs'];
const sqlExtensions = ['.up.sql', '.down.sql', '.sql'];
const pattern = '<version>-<timestamp>-<name>.ts, .mts, .js, .mjs, .sql, or .up.sql with .down.sql';

/** Reads a file name. A name that looks like an alteration and is none is malformed, any other is `other`. */
export function parseFileName(file: string): ParsedFileName {
  if (/\.d\.[cm]?ts$|\.map$/.test(file)) return { kind: 'other' };
  const extension = [...sqlExtensions, ...moduleExtensions].find((candidate) => file.endsWith(candidate));
  if (!looksLikeAlteration(file, extension)) return { kind: 'other' };
  if (!extension) return malformed(`has an extension that no alteration has; expected ${pattern}`);
  return parseStem(file, file.slice(0, -extension.length), extension);
}

function looksLikeAlteration(file: string, extension: string | undefined): boolean {
  if (/^(?:next-|v?\d+\.\d+\.\d+)/i.test(file)) return true;
  return extension !== undefined && /^v?\d/i.test(file);
}

function parseStem(file: string, stem: string, extension: string): ParsedFileName {
  const [versionText = '', timestamp = '', ...words] = stem.split('-');
  const version = parseVersionPart(versionText);
  if (version === undefined) return malformed(describeVersionProblem(versionText));
  const parsedId = parseAlterationId(timestamp);
  if (!parsedId) return malformed(describeTimestampProblem(versionText, timestamp, words));
  const name = words.join('-');
  if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(name)) return malformed(describeNameProblem(name));
  const { seconds, suffix } = parsedId;
  const format = extension.endsWith('.sql') ? 'sql' : 'module';
  const part = extension === '.up.sql' ? 'up' : extension === '.down.sql' ? 'down' : 'whole';
  const id = alterationId(seconds, suffix);
  return { kind: 'alteration', part, alteration: { id, version, seconds, suffix, name, file, format } };
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
