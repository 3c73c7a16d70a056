import type { Alteration } from '../core/alteration.ts';
import { DatabaseRefusedError } from '../core/errors.ts';
import type { History, HistoryRow } from '../core/history.ts';
import { listAlterations } from '../folder/list-alterations.ts';
import { type HistoryTable, readHistory, type TableState } from '../postgres/history-table.ts';
import { type Session, withSession } from '../postgres/session.ts';
import { type Edited, findEdited } from './integrity.ts';
import { type DatabaseOptions, folderOf, historyTableOf, type RunOptions } from './options.ts';

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
  options: DatabaseOptions & Pick<RunOptions, 'rows' | 'abandon'>,
  kind: 'read' | 'run',
  work: (snapshot: Snapshot) => Promise<T>,
): Promise<T> {
  const folder = folderOf(options);
  const historyTable = historyTableOf(options);
  const alterations = await listAlterations(folder);
  const sessionOptions = {
    applicationName: `alteration ${command}`,
    historyTable,
    rows: options.rows,
    cutOn: kind === 'run' ? options.abandon : options.stop,
  };
  return withSession(options.database, sessionOptions, async (session) => {
    const history = await readHistory(session.connection, historyTable, session.tableState);
    const edited = await findEdited(folder, alterations, history);
    return work({
      session,
      folder,
      historyTable,
      tableState: session.tableState,
      alterations,
      history,
      edited,
    });
  });
}

/** The same snapshot with the history as it is now: after the wait for the lock it may be another. */
export async function refreshSnapshot(snapshot: Snapshot): Promise<Snapshot> {
  const { session, folder, historyTable, alterations } = snapshot;
  const tableState = await session.readTableState();
  const history = await readHistory(session.connection, historyTable, tableState);
  const unchanged = JSON.stringify(history) === JSON.stringify(snapshot.history);
  const edited = unchanged ? snapshot.edited : await findEdited(folder, alterations, history);
  return { ...snapshot, tableState, history, edited };
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
  if (session.mayKeepHistory) return;
  const name = `"${schema}.${table}"`;
  throw tableState.kind === 'absent'
    ? new DatabaseRefusedError(
        `The role "${role}" may not create the history table ${name} in the database "${database}".`,
        {
          hint: `Nothing was changed. Grant it: grant create on schema ${schema} to ${role}; or choose another schema with --history-schema.`,
        },
      )
    : new DatabaseRefusedError(`The role "${role}" may not write the history table ${name}.`, {
        hint: `Nothing was changed. Grant it: grant select, insert, update, delete on ${schema}.${table} to ${role}.`,
      });
}

export const describeAlteration = ({ id, version, name, file }: Alteration) => ({ id, version, name, file });
export const describeRow = ({ id, version, name }: HistoryRow) => ({ id, version, name });
