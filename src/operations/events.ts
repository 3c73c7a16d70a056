import type { Blocker, LockHolder, Phase } from '../core/errors.ts';
import type { DatabaseFacts } from '../postgres/session.ts';

/** What a run tells while it goes on, in order. Durations are milliseconds; alterations are file names. */
export type RunEvent =
  /** The database is not reachable or not ready; told at first, then every few seconds. */
  | { readonly type: 'connect-waiting'; readonly reason: string; readonly waitedMs: number }
  | { readonly type: 'connected'; readonly database: DatabaseFacts }
  | {
      readonly type: 'planned';
      readonly direction: 'up' | 'down';
      readonly total: number;
      readonly late: number;
    }
  | { readonly type: 'lock-waiting'; readonly holder: LockHolder | undefined; readonly waitedMs: number }
  | { readonly type: 'missing'; readonly alterations: readonly string[] }
  | {
      readonly type: 'started';
      readonly direction: 'up' | 'down';
      readonly alteration: string;
      /** 1-based. */
      readonly index: number;
      readonly total: number;
      readonly late: boolean;
    }
  | { readonly type: 'phase'; readonly alteration: string; readonly phase: Phase }
  | {
      readonly type: 'statement';
      readonly alteration: string;
      /** 1-based. */
      readonly index: number;
      readonly total: number;
      readonly summary: string;
    }
  | {
      readonly type: 'finished';
      readonly direction: 'up' | 'down';
      readonly alteration: string;
      readonly index: number;
      readonly total: number;
      readonly durationMs: number;
    }
  /** A statement waits for locks of others. */
  | { readonly type: 'blocked'; readonly alteration: string; readonly blockers: readonly Blocker[] }
  /** It did not get its locks; its transaction is rolled back, and it is tried again after a pause. */
  | {
      readonly type: 'retrying';
      readonly alteration: string;
      /** Attempts so far. */
      readonly attempts: number;
      readonly reason: string;
      readonly pauseMs: number;
    }
  /** Another instance has done it meanwhile; only behind a pooler, where the lock is taken for each alteration. */
  | { readonly type: 'taken-over'; readonly alteration: string }
  /** A no-transaction file that is half done was edited after the part that is done. */
  | { readonly type: 'rest-edited'; readonly alteration: string }
  /** What an alteration left in the session, and was reset: settings, temporary objects, locks, … */
  | { readonly type: 'leaked'; readonly alteration: string; readonly leaks: readonly string[] }
  | { readonly type: 'renamed'; readonly alteration: string; readonly from: string; readonly to: string }
  | { readonly type: 'checksum-accepted'; readonly alteration: string };

/** Takes a log line: an object of facts and a constant message. A pino logger is one. */
export interface Logger {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  debug(facts: object, message: string): void;
}

/** Writes an event as one log line. */
export function logEvent(logger: Logger, event: RunEvent): void {
  const { type, ...facts } = event;
  logger[levels[type] ?? 'info'](facts, messages[type]);
}

const levels: Readonly<Partial<Record<RunEvent['type'], keyof Logger>>> = {
  missing: 'warn',
  'connect-waiting': 'warn',
  'lock-waiting': 'warn',
  blocked: 'warn',
  retrying: 'warn',
  statement: 'debug',
  phase: 'debug',
  leaked: 'debug',
  'rest-edited': 'warn',
};

const messages: Readonly<Record<RunEvent['type'], string>> = {
  'connect-waiting': 'waiting for the database',
  connected: 'connected',
  planned: 'planned',
  'lock-waiting': 'waiting for another instance',
  missing: 'applied alterations have no file',
  started: 'started',
  phase: 'phase started',
  statement: 'statement started',
  finished: 'finished',
  blocked: 'waiting for locks of others',
  retrying: 'tried again after a pause',
  'taken-over': 'done by another instance in the meantime',
  'rest-edited': 'edited after the part that is done',
  leaked: 'left in the session and reset',
  renamed: 'version brought up to date',
  'checksum-accepted': 'edited file accepted',
};
