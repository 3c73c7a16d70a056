import type { Alteration } from '../core/alteration.ts';
import { DatabaseRefusedError, HistoryError, StoppedError } from '../core/errors.ts';
import type { History, HistoryRow } from '../core/history.ts';
import { listAlterations } from '../folder/list-alterations.ts';
import { type HistoryTable, readHistory, type TableState } from '../postgres/history-table.ts';
import type { Queryable } from '../postgres/query.ts';
import { type Session, type SessionOptions, withSession } from '../postgres/session.ts';
import { type Edited, findEdited, readFolder } from './integrity.ts';
import {
  defaultConnectWaitMs,
  defaultKeepaliveMs,
  defaultLockTimeoutMs,
  folderOf,
  historyTableOf,
  type RunOptions,
  reporterOf,
} from './options.ts';
import { retryOnHistory } from './retry-history.ts';

/** Folder and history at one moment: all that a plan is decided on. */
export interface Snapshot {
  readonly session: Session;
  readonly folder: string;
  readonly historyTable: HistoryTable;
  readonly tableState: TableState;
  readonly alterations: readonly Alteration[];
  readonly history: History;
  readonly edited: readonly Edited[];
}

/** Reads the folder, then connects, reads the history and calls `work`. A bad name stops before any connection. */
export async function withSnapshot<T>(
  command: string,
  options: Omit<RunOptions, 'lockWaitMs' | 'graceMs'>,
  kind: 'read' | 'run',
  work: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  const folder = folderOf(options);
  const historyTable = historyTableOf(options);
  const alterations = await listAlterations(folder);
  const reading = readFolder(folder, alterations);
  return withSession(options.database, sessionOptionsOf(command, options, kind), async (session) => {
    const read = () => readHistory(session.connection, historyTable, session.tableState);
    const history = await (kind === 'read'
      ? read()
      : retryOnHistory(session, historyTable, options, () => session.backendPid, read));
    const edited = await findEdited(reading, alterations, history);
    const { tableState } = session;
    return work({ session, folder, historyTable, tableState, alterations, history, edited });
  });
}

function sessionOptionsOf(
  command: string,
  options: Parameters<typeof withSnapshot>[1],
  kind: 'read' | 'run',
): SessionOptions {
  const report = reporterOf(options);
  return {
    applicationName: `alteration ${command}`,
    historyTable: historyTableOf(options),
    rows: options.rows,
    lockTimeoutMs: kind === 'run' ? (options.lockTimeoutMs ?? defaultLockTimeoutMs) : undefined,
    keepaliveMs: options.keepaliveMs ?? defaultKeepaliveMs,
    pooler: options.pooler ?? 'auto',
    connectWaitMs: options.connectWaitMs ?? defaultConnectWaitMs,
    onConnectWait: (wait) => report({ type: 'connect-waiting', ...wait }),
    stop: options.stop,
    abandon: kind === 'run' ? options.abandon : stopAtOnce(options.stop),
  };
}

/** What only reads is ended by any reason to stop. */
function stopAtOnce(stop: AbortSignal | undefined): AbortSignal | undefined {
  if (!stop) return undefined;
  const ending = new AbortController();
  const end = () =>
    ending.abort(stop.reason instanceof StoppedError ? stop.reason : new StoppedError('a request to stop'));
  if (stop.aborted) end();
  stop.addEventListener('abort', end, { once: true });
  return ending.signal;
}

/** The same snapshot with the history as it is now: after the wait for the lock it may be another. */
export async function refreshSnapshot(snapshot: Snapshot, connection: Queryable): Promise<Snapshot> {
  const { session, folder, historyTable, alterations } = snapshot;
  const tableState = await session.readTableState(connection);
  refuseDropped(snapshot, tableState);
  const history = await readHistory(connection, historyTable, tableState);
  const unchanged = JSON.stringify(history) === JSON.stringify(snapshot.history);
  const edited = unchanged ? snapshot.edited : await findEdited(readFolder(folder), alterations, history);
  return { ...snapshot, tableState, history, edited };
}

/** Without its history every alteration would seem pending, and be run again. */
function refuseDropped({ tableState, historyTable: { schema, table } }: Snapshot, now: TableState): void {
  if (tableState.kind !== 'history' || now.kind !== 'absent') return;
  throw new HistoryError(`The history table "${schema}.${table}" has been dropped since it was read.`, {
    hint: 'Nothing was changed. Restore it, then run again.',
  });
}

/** Throws a DatabaseRefusedError where nothing can be written: better before the first alteration than in it. */
export function requireWritable({ session, tableState, historyTable: { schema, table } }: Snapshot): void {
  const { database, role } = session.database;
  if (session.readOnly) {
    throw new DatabaseRefusedError(
      `The database "${database}" takes no changes: its transactions are read-only.`,
      {
        hint: 'Nothing was changed. Is this a standby, or is default_transaction_read_only set for the role or the database?',
      },
    );
  }
  if (!session.mayReadLocks) {
    throw new DatabaseRefusedError(
      `The role "${role}" may not read pg_locks, where the runner's lock is seen.`,
      {
        hint: `Nothing was changed. Grant it: grant select on pg_catalog.pg_locks to ${role}; grant execute on function pg_catalog.pg_lock_status() to ${role}.`,
      },
    );
  }
  if (session.mayKeepHistory) return;
  const name = `"${schema}.${table}"`;
  throw tableState.kind === 'absent'
    ? new DatabaseRefusedError(
        `The role "${role}" may not create the history table ${name} in the database "${database}".`,
        {
          hint: `Nothing was changed. Grant it: grant create on schema ${schema} to ${role}, or, where there is no such schema, grant create on database ${database} to ${role}; or choose another schema with --history-schema.`,
        },
      )
    : new DatabaseRefusedError(`The role "${role}" may not write the history table ${name}.`, {
        hint: `Nothing was changed. Grant it: grant select, insert, update, delete on ${schema}.${table} to ${role}.`,
      });
}

export const describeAlteration = ({ id, version, name, file }: Alteration) => ({ id, version, name, file });
export const describeRow = ({ id, version, name }: HistoryRow) => ({ id, version, name });
