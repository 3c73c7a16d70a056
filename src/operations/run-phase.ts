import type { DatabasePoolConnection, DatabaseTransactionConnection } from 'slonik';
import { orAborted } from '../core/or-aborted.ts';
import { splitStatements } from '../folder/split-sql.ts';
import {
  type FailedQuery,
  openScriptConnection,
  refuseTransactionControl,
  type ScriptConnectionOptions,
} from '../postgres/script-connection.ts';
import type { Session } from '../postgres/session.ts';

type Connection = DatabasePoolConnection | DatabaseTransactionConnection;

/** Queries of scripts that failed, by their errors: what a message needs that the error does not carry. */
export type FailedQueries = Map<unknown, FailedQuery>;

export interface PhaseOptions {
  readonly session: Session;
  readonly abandon: AbortSignal | undefined;
  readonly failedQueries: FailedQueries;
  /** Called with each query before it is sent. */
  readonly onQuery?: (text: string) => void;
  /** Sends a query; what it gives is the script's. */
  readonly send?: ScriptConnectionOptions['send'];
  /** Inside a transaction, a script may not end it. */
  readonly transaction: 'inside' | 'outside';
}

/** Calls one function of a script with a connection that is its own until it returns. */
export async function runPhase<C extends Connection>(
  phase: (connection: C) => unknown,
  connection: C,
  { session, abandon, failedQueries, onQuery, send, transaction }: PhaseOptions,
): Promise<void> {
  let queries = 0;
  const script = openScriptConnection(connection, {
    splitStatements,
    ...(send ? { send } : {}),
    checkQuery: (text) => {
      if (transaction === 'inside') refuseTransactionControl(text);
      onQuery?.(text);
    },
    onFailure: (error, query) => failedQueries.set(error, query),
    onActivity: (change) => {
      queries += change;
      session.holdProcess(queries > 0);
    },
  });
  session.holdProcess(false);
  try {
    const work = Promise.resolve(connection)
      .then(() => phase(script.connection))
      .then(() => script.finish());
    await orAborted(work, [abandon, session.lost]);
  } catch (error) {
    await script.abandon();
    throw error ?? new Error(`it threw ${error}, which is not an Error`); // slonik reads fields of what is thrown
  } finally {
    session.holdProcess(true);
  }
}
