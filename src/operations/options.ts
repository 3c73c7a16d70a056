import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { DatabaseSource, RowOptions } from '../postgres/connect.ts';
import type { HistoryTable, Origin } from '../postgres/history-table.ts';
import type { Pooler } from '../postgres/session.ts';
import { type Logger, logEvent, type RunEvent } from './events.ts';
import { runnerVersion } from './runner-version.ts';

/** What every operation on a database takes. */
export interface DatabaseOptions {
  /** A connection string (`postgres://…`), or a slonik pool, of which the configuration is taken. */
  readonly database: DatabaseSource;
  /** The alterations folder; relative to the working directory. Default `alterations`. */
  readonly folder?: string;
  /** Default `public`. */
  readonly historySchema?: string;
  /** Default `alteration_history`. */
  readonly historyTable?: string;
  /** How long to try while the database is not reachable or not ready, in milliseconds. Default 30,000. */
  readonly connectWaitMs?: number;
  /** `transaction`: behind a pooler in transaction mode. `none`: not so. Default: found out. */
  readonly pooler?: Pooler;
  /** After this time without a sign of the other side a connection is given up, in milliseconds. 0: as the systems are set. Default 25,000. */
  readonly keepaliveMs?: number;
  /** When aborted: what only reads ends at once; a run stops before the next alteration, or its wait for the lock. */
  readonly stop?: AbortSignal;
  /** Called with each event, in order. */
  readonly onEvent?: (event: RunEvent) => void;
  /** Gets one line an event. */
  readonly logger?: Logger;
}

/** What operations take that alter. */
export interface RunOptions extends DatabaseOptions {
  /** How long to wait for another instance, in milliseconds. Default 300,000. */
  readonly lockWaitMs?: number;
  /** PostgreSQL's lock_timeout for alterations that do not set their own, in milliseconds; 0: none. Default 3,000. */
  readonly lockTimeoutMs?: number;
  /** How long an alteration that cannot get its locks is tried again, in milliseconds. Default 300,000. */
  readonly lockDeadlineMs?: number;
  /** How long the alteration under way may go on after `stop`, in milliseconds. Default 10,000. */
  readonly graceMs?: number;
  /** Tells by `leaked` events all that alterations leave in their session, not advisory locks alone; that costs some milliseconds each. It is reset either way. Default false. */
  readonly tellLeaks?: boolean;
  /** slonik interceptors and type parsers for the scripts' queries; a pool brings its own. */
  readonly rows?: RowOptions;
  /** When aborted, the alteration under way fails with the signal's reason; a StoppedError cancels its statement. */
  readonly abandon?: AbortSignal;
}

export const defaultFolder = 'alterations';
export const defaultHistorySchema = 'public';
export const defaultHistoryTable = 'alteration_history';
export const defaultLockWaitMs = 300_000;
export const defaultLockTimeoutMs = 3_000;
export const defaultLockDeadlineMs = 300_000;
export const defaultGraceMs = 10_000;
export const defaultConnectWaitMs = 30_000;
export const defaultKeepaliveMs = 25_000;

export function folderOf(options: Pick<DatabaseOptions, 'folder'>): string {
  return resolve(options.folder ?? defaultFolder);
}

export function historyTableOf(options: DatabaseOptions): HistoryTable {
  return {
    schema: options.historySchema ?? defaultHistorySchema,
    table: options.historyTable ?? defaultHistoryTable,
  };
}

/** Who writes the rows of this run. */
export function newOrigin(): Origin {
  return { host: hostname(), runner: runnerVersion, deployId: randomUUID() };
}

/**
 * One function that tells the caller's callback and logger. What they throw ends the run, at a statement when its
 * alteration is over: it is under way on the server already.
 */
export function reporterOf({
  onEvent,
  logger,
}: Pick<DatabaseOptions, 'onEvent' | 'logger'>): (event: RunEvent) => void {
  let thrown: { readonly error: unknown } | undefined;
  return (event) => {
    if (thrown && event.type === 'statement') return;
    if (thrown) throw thrown.error;
    try {
      onEvent?.(event);
      if (logger) logEvent(logger, event);
    } catch (error) {
      if (event.type !== 'statement') throw error;
      thrown = { error };
    }
  };
}
