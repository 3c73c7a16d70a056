import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import type { HistoryTable, Origin } from '../postgres/history-table.ts';
import type { DatabaseSource, RowOptions } from '../postgres/session.ts';
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
  /** When aborted: what only reads ends at once; a run stops before the next alteration, or its wait for the lock. */
  readonly stop?: AbortSignal;
}

/** What operations take that alter. */
export interface RunOptions extends DatabaseOptions {
  /** How long to wait for another instance, in milliseconds. Default 300,000. */
  readonly lockWaitMs?: number;
  /** slonik interceptors and type parsers for the scripts' queries; a pool brings its own. */
  readonly rows?: RowOptions;
  /** Called with each event, in order. */
  readonly onEvent?: (event: RunEvent) => void;
  /** Gets one line an event. */
  readonly logger?: Logger;
  /** When aborted, the alteration under way fails with the signal's reason; a StoppedError cuts the connection. */
  readonly abandon?: AbortSignal;
}

export const defaultFolder = 'alterations';
export const defaultHistorySchema = 'public';
export const defaultHistoryTable = 'alteration_history';
export const defaultLockWaitMs = 300_000;

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

/** One function that tells the caller's callback and logger. */
export function reporterOf({
  onEvent,
  logger,
}: Pick<RunOptions, 'onEvent' | 'logger'>): (event: RunEvent) => void {
  return (event) => {
    onEvent?.(event);
    if (logger) logEvent(logger, event);
  };
}
