import type { HistoryRow } from '../core/history.ts';
import type { LoadedAlteration } from '../folder/load-alterations.ts';
import type { HistoryTable, Origin } from '../postgres/history-table.ts';
import type { LockedSession } from '../postgres/locked-session.ts';
import type { Session } from '../postgres/session.ts';
import type { RunEvent } from './events.ts';
import type { LockPatience } from './retry-locks.ts';

/** What the steps of a run share. */
export interface RunContext {
  readonly session: Session;
  readonly locked: LockedSession;
  readonly folder: string;
  readonly historyTable: HistoryTable;
  readonly origin: Origin;
  readonly report: (event: RunEvent) => void;
  readonly stop: AbortSignal | undefined;
  readonly abandon: AbortSignal | undefined;
  readonly patience: LockPatience;
  /** Whether all steps share one transaction, which whoever began it makes again when it is to be made again. */
  readonly isShared: boolean;
  /** Ids of the rows on which the plan stands, with those of the steps before this one. */
  readonly basis: () => ReadonlySet<string>;
}

/** An alteration to run, loaded. */
export interface ExecutableStep {
  readonly loaded: LoadedAlteration;
  readonly late: boolean;
  /** The row that an earlier run has left half-way. */
  readonly begun?: HistoryRow;
}
