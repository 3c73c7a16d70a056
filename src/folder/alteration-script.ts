import type { DatabasePoolConnection, DatabaseTransactionConnection } from 'slonik';
import { longestDurationMs, parseDuration } from '../core/duration.ts';

/** What an alteration module exports as its default. */
export interface AlterationScript {
  /** Brings the schema forward, in one transaction with the history row. */
  readonly up: (transaction: DatabaseTransactionConnection) => Promise<unknown>;
  /** Takes it back, in one transaction with the removal of the row. Absent: the alteration cannot be rolled back. */
  readonly down?: (transaction: DatabaseTransactionConnection) => Promise<unknown>;
  /** Runs before `up`, outside any transaction, on the session that holds the lock. Must be re-runnable. */
  readonly beforeUp?: (connection: DatabasePoolConnection) => Promise<unknown>;
  /** Runs before `down`, outside any transaction. Must be re-runnable. */
  readonly beforeDown?: (connection: DatabasePoolConnection) => Promise<unknown>;
  /** How long its statements wait for locks, such as `10s`; `0`: without end. A named export does it too. Default: the run's. */
  readonly lockTimeout?: string;
}

/** A script, and what its module says besides. */
export interface ParsedScript {
  readonly script: AlterationScript;
  /** Absent: the run's. */
  readonly lockTimeoutMs?: number;
}

const phases = ['up', 'down', 'beforeUp', 'beforeDown'] as const;

/** Whether a default export is a script; the answer for one that is not says what it is. */
export function parseScript(
  exported: unknown,
  named: Readonly<Record<string, unknown>>,
): ParsedScript | { readonly reason: string } {
  if (typeof exported !== 'object' || exported === null || Array.isArray(exported))
    return { reason: describeWrongExport(exported, Object.keys(named)) };
  const wrong = phases.filter(
    (phase) => !isCallable(exported, phase) && property(exported, phase) !== undefined,
  );
  if (wrong.length > 0) {
    return {
      reason: `has ${wrong.map((phase) => `"${phase}" that is ${nameType(property(exported, phase))}`).join(' and ')}; each is a function`,
    };
  }
  const timeout = property(exported, 'lockTimeout') ?? named['lockTimeout'];
  const lockTimeoutMs = typeof timeout === 'string' ? parseDuration(timeout) : undefined;
  if (timeout !== undefined && !(lockTimeoutMs !== undefined && lockTimeoutMs <= longestDurationMs)) {
    return { reason: `has "lockTimeout" that is ${showValue(timeout)}; expected a duration such as '10s'` };
  }
  if (!isCallable(exported, 'up')) {
    const keys = Object.keys(exported);
    const found =
      keys.length > 0 ? `an object with ${keys.map((key) => `"${key}"`).join(', ')}` : 'an empty object';
    return { reason: `has no "up": its default export is ${found}` };
  }
  const script = exported as AlterationScript; // every phase that is there has just been seen to be a function
  return lockTimeoutMs === undefined ? { script } : { script, lockTimeoutMs };
}

function describeWrongExport(exported: unknown, names: readonly string[]): string {
  if (exported !== undefined) return `has ${nameType(exported)} as its default export; expected { up, down }`;
  const named = names.filter((name) => name !== 'default');
  const found = named.length > 0 ? `; it exports ${named.map((name) => `"${name}"`).join(', ')}` : '';
  return `has no default export${found}; expected \`export default { up, down }\``;
}

function isCallable(value: object, key: string): boolean {
  return typeof property(value, key) === 'function';
}

function property(value: object, key: string): unknown {
  return key in value ? (value as Record<string, unknown>)[key] : undefined; // `in` has just shown the key
}

function showValue(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? JSON.stringify(value) : nameType(value);
}

function nameType(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  const type = typeof value;
  return type === 'object' || type === 'undefined' ? `an ${type}` : `a ${type}`;
}
