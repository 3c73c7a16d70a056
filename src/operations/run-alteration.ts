import type { DatabasePoolConnection, DatabaseTransactionConnection } from 'slonik';
import type { Phase } from '../core/errors.ts';
import type { HistoryRow } from '../core/history.ts';
import type { SqlScript, SqlStatement } from '../folder/split-sql.ts';
import type { Transaction } from '../postgres/connection.ts';
import type { RowChange } from '../postgres/history-table.ts';
import { rawQuery } from '../postgres/query.ts';
import { confirmStep, TakenOver } from './confirm-step.ts';
import { describeFailure, type FailureSetting } from './describe-failure.ts';
import { resetSession } from './reset-session.ts';
import { retryOnLocks } from './retry-locks.ts';
import type { ExecutableStep, RunContext } from './run-context.ts';
import type { FailedQueries } from './run-phase.ts';
import { refuseSessionState, sendOutside } from './send-outside.ts';

interface PartRun {
  readonly direction: 'up' | 'down';
  readonly step: ExecutableStep;
  /** Throws when what an earlier run has left half-way forbids it. */
  readonly check?: (begun: HistoryRow | undefined) => void;
}

interface RecordedRun extends PartRun {
  /** The history's change, in the same transaction. */
  readonly change: RowChange;
  /** Whether it is known to set no savepoints and to make nothing that is deferred to a commit. */
  readonly isPlain?: boolean;
}

interface FunctionRun extends RecordedRun {
  readonly phase: Phase;
  /** The phase outside the transaction that has been run before this one. */
  readonly before: 'beforeUp' | 'beforeDown' | undefined;
  readonly work: (transaction: DatabaseTransactionConnection) => unknown;
}

/** Runs a function of a script and the history's change in one transaction. Throws what describes a failure. */
export async function runInTransaction(run: FunctionRun, context: RunContext): Promise<void> {
  const { phase, before, step, work } = run;
  const { session, abandon } = context;
  const alteration = step.loaded.alteration.file;
  await retryOnLocks(alteration, context, async () => {
    const failedQueries: FailedQueries = new Map();
    const setting = { alteration, phase, before, transaction: 'inside', failedQueries } as const;
    return recorded(
      run,
      () => setting,
      context,
      (transaction, onQuery) =>
        transaction.scripts(async (inner) => {
          const { runPhase } = await import('./run-phase.ts'); // with slonik
          await runPhase(work, inner, { session, abandon, failedQueries, onQuery, transaction: 'inside' });
        }),
    );
  });
}

interface SqlRun extends RecordedRun {
  /** Where it is not the alteration's own file. */
  readonly file?: string;
  readonly script: SqlScript;
}

/** Runs the statements of a SQL file and the history's change in one transaction. */
export async function runSqlInTransaction(run: SqlRun, context: RunContext): Promise<void> {
  const { direction: phase, step, script } = run;
  const { file: alteration } = step.loaded.alteration;
  const { file = alteration } = run;
  await retryOnLocks(alteration, context, async () => {
    let statement: SqlStatement | undefined;
    const setting = (stage: FailureSetting['stage']) => ({
      alteration: file,
      phase,
      transaction: 'inside' as const,
      ...(stage === 'script' && statement ? { sql: { file, script, statement } } : {}),
    });
    const total = script.statements.length;
    const isPlain = script.statements.every(
      ({ kind, text }) => kind !== 'TransactionStmt' && !/\bdeferr/i.test(text),
    );
    const onStart = (next: SqlStatement, index: number) => () => {
      statement = next;
      context.report({ type: 'statement', alteration: file, index: index + 1, total, summary: next.summary });
    };
    await recorded({ ...run, isPlain }, setting, context, async (transaction, onQuery) => {
      context.abandon?.throwIfAborted();
      for (const [index, next] of script.statements.entries()) {
        onQuery(next.text);
        transaction.defer({ ...rawQuery(next.text), onStart: onStart(next, index) });
      }
    });
  });
}

interface OutsideRun extends PartRun {
  readonly phase: 'beforeUp' | 'beforeDown';
  readonly work: (connection: DatabasePoolConnection) => unknown;
}

/** Runs a function of a script on the session itself. */
export async function runOutsideTransaction(run: OutsideRun, context: RunContext): Promise<void> {
  const { direction, phase, step, check, work } = run;
  const { session, abandon, folder, locked, patience } = context;
  const { file: alteration } = step.loaded.alteration;
  await retryOnLocks(alteration, context, async () => {
    const failedQueries: FailedQueries = new Map();
    try {
      await locked.outside(async (outside) => {
        const begun = await confirmStep(direction, step, outside.connection, context);
        check?.(begun);
        context.report({ type: 'phase', alteration, phase });
        const scripts = await outside.connection.scripts();
        const { runPhase } = await import('./run-phase.ts');
        await runPhase(work, scripts, {
          session,
          abandon,
          failedQueries,
          transaction: 'outside',
          ...(session.database.pooler === 'transaction' ? { onQuery: refuseSessionState } : {}),
          send: (text, send) => sendOutside(text, send, outside, alteration, context),
        });
      }, patience.lockTimeoutMs);
      await resetSession(context, alteration);
    } catch (error) {
      if (error instanceof TakenOver) throw error;
      const setting = { alteration, phase, stage: 'script', transaction: 'outside' } as const;
      throw describeFailure(error, { ...setting, folder, session, failedQueries, abandon });
    }
  });
}

/** How far a transaction has come. */
interface Reached {
  stage: FailureSetting['stage'];
  isCommitSent: boolean;
}

type PartialSetting = Omit<FailureSetting, 'stage' | 'folder' | 'session' | 'historyTable'>;

/** Does the work and writes the history's change. */
async function recorded(
  { direction, step, check, change, isPlain = false }: RecordedRun,
  setting: (stage: FailureSetting['stage']) => PartialSetting,
  context: RunContext,
  work: (transaction: Transaction, onQuery: (text: string) => void) => Promise<void>,
): Promise<void> {
  const { session, locked, folder, historyTable, patience, abandon, isShared } = context;
  // Behind a pooler the role would be somebody else's next; a function may have changed it.
  let mayHaveChangedRole = session.database.pooler === 'transaction';
  const onQuery = (text: string) => {
    mayHaveChangedRole ||=
      /\b(?:role|authorization)\b/i.test(text) && /\b(?:re)?set\b|\bset_config\b/i.test(text);
  };
  const reached: Reached = { stage: 'script', isCommitSent: false };
  const onCommit = () => {
    reached.stage = 'commit';
  };
  try {
    const inTransaction = async (transaction: Transaction) => {
      const begun = await confirmStep(direction, step, transaction, context);
      check?.(begun);
      await work(transaction, onQuery);
      const onStart = () => {
        reached.stage = 'record';
      };
      // The history is ours to write, whatever role the alteration has taken.
      const left = mayHaveChangedRole ? await locked.resetRole(transaction, onStart) : [];
      for (const query of change.queries(transaction.startedAt(), begun !== undefined)) {
        transaction.defer({ ...query, onStart });
      }
      reached.isCommitSent = !isShared;
      return left;
    };
    const leaks = await locked.transaction(inTransaction, {
      lockTimeoutMs: patience.lockTimeoutMs,
      onCommit,
      isPlain,
    });
    if (leaks.length > 0) context.report({ type: 'leaked', alteration: step.loaded.alteration.file, leaks });
  } catch (error) {
    if (error instanceof TakenOver) throw error;
    const { stage } = reached;
    const refusal = stage === 'record' ? change.refusal(error) : undefined;
    throw (
      refusal ??
      describeFailure(error, {
        ...setting(stage),
        ...reached,
        isShared,
        folder,
        session,
        historyTable,
        abandon,
      })
    );
  }
}
