import type { LockHolder, Phase } from '../core/errors.ts';
import type { DatabaseFacts } from '../postgres/session.ts';

/** What a run tells while it goes on, in order. Durations are milliseconds; alterations are file names. */
export type RunEvent =
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
  const level =
    type === 'missing' || type === 'lock-waiting'
      ? 'warn'
      : type === 'statement' || type === 'phase'
        ? 'debug'
        : 'info';
  logger[level](facts, messages[type]);
}

const messages: Readonly<Record<RunEvent['type'], string>> = {
  connected: 'connected',
  planned: 'planned',
  'lock-waiting': 'waiting for another instance',
  missing: 'applied alterations have no file',
  started: 'started',
  phase: 'phase started',
  statement: 'statement started',
  finished: 'finished',
  renamed: 'version brought up to date',
  'checksum-accepted': 'edited file accepted',
};
