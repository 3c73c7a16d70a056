import { longestDurationMs, parseDuration } from '../core/duration.ts';

// Plain functions and no schemas: every start reads the settings, and most have nothing else to do.

/** What was given as a value, or what is wrong with it, without the full stop. */
export type Parsed<T> = { readonly value: T } | { readonly problem: string };

/** Reads what was given for a setting; undefined where nothing was. */
export type ParseValue<T> = (given: unknown) => Parsed<T>;

export function optional<T>(parse: ParseValue<T>): ParseValue<T | undefined> {
  return (given) => (given === undefined ? { value: undefined } : parse(given));
}

export function withDefault<T>(parse: ParseValue<T>, value: T): ParseValue<T> {
  return (given) => (given === undefined ? { value } : parse(given));
}

const truths: ReadonlyMap<unknown, boolean> = new Map<unknown, boolean>([
  ['1', true],
  ['true', true],
  ['yes', true],
  ['on', true],
  ['0', false],
  ['false', false],
  ['no', false],
  ['off', false],
  ['', false],
]);

export function parseBoolean(given: unknown): Parsed<boolean> {
  if (typeof given === 'boolean') return { value: given };
  if (typeof given !== 'string') return { problem: 'expected true or false' };
  const value = truths.get(given.toLowerCase());
  return value === undefined ? { problem: `"${given}" is neither true nor false` } : { value };
}

/** Milliseconds. */
export function parseDurationValue(given: unknown): Parsed<number> {
  if (typeof given !== 'string') return { problem: 'expected a duration such as 500ms, 5s or 2m' };
  const value = parseDuration(given);
  if (value === undefined) {
    return { problem: `"${given}" is not a duration; expected one with its unit, such as 500ms, 5s or 2m` };
  }
  if (value <= longestDurationMs) return { value };
  return { problem: `"${given}" is too long; at most ${Math.floor(longestDurationMs / 3_600_000)}h` };
}

const shortestKeepaliveMs = 3_000;

/** Anything shorter would take a network that hesitates for one that is gone. */
export function parseKeepalive(given: unknown): Parsed<number> {
  const parsed = parseDurationValue(given);
  if ('problem' in parsed || parsed.value === 0 || parsed.value >= shortestKeepaliveMs) return parsed;
  return { problem: `expected ${shortestKeepaliveMs / 1_000}s or more, or 0` };
}

export function parseText(given: unknown): Parsed<string> {
  if (typeof given !== 'string') return { problem: 'expected a text' };
  return given === '' ? { problem: 'expected a text that is not empty' } : { value: given };
}

export function parseIdentifier(given: unknown): Parsed<string> {
  const parsed = parseText(given);
  if ('problem' in parsed || Buffer.byteLength(parsed.value) <= 63) return parsed;
  return { problem: 'PostgreSQL cuts names at 63 bytes' };
}

/** One of some words, told with the words where it is none of them. */
export function choiceOf<const T extends string>(words: readonly T[]): ParseValue<T> {
  return (given) => {
    const value = words.find((word) => word === given);
    return value === undefined ? { problem: `"${String(given)}" is none of ${words.join(', ')}` } : { value };
  };
}
