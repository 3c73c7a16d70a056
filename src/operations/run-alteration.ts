import type { DatabasePoolConnection, DatabaseTransactionConnection } from 'slonik';
import type { Phase } from '../core/errors.ts';
import type { LoadedModule } from '../folder/load-alterations.ts';
import type { SqlScript, SqlStatement } from '../folder/split-sql.ts';
import { rawQuery } from '../postgres/query.ts';
import { describeFailure, type FailureSetting } from './describe-failure.ts';
import { resetSession } from './reset-session.ts';
import type { RunContext } from './run-context.ts';
import { type FailedQueries, runPhase } from './run-phase.ts';

type Write = (transaction: DatabaseTransactionConnection) => Promise<unknown>;

/** Runs a function of a script and the history's change in one transaction. Throws what describes a failure. */
export async function runInTransaction(
  phase: Phase,
  before: 'beforeUp' | 'beforeDown' | undefined,
  { alteration: { file } }: Pick<LoadedModule, 'alteration'>,
  work: (transaction: DatabaseTransactionConnection) => unknown,
  context: RunContext,
  record: Write,
): Promise<void> {
  const failedQueries: FailedQueries = new Map();
  const { session, abandon } = context;
  const setting = { alteration: file, phase, before, transaction: 'inside', failedQueries } as const;
  await recorded(setting, context, record, (transaction, onQuery) =>
    runPhase(work, transaction, { session, abandon, failedQueries, onQuery, transaction: 'inside' }),
  );
}

/** Runs the statements of a SQL file and the history's change in one transaction. */
export async function runSqlInTransaction(
  phase: 'up' | 'down',
  file: string,
  script: SqlScript,
  context: RunContext,
  record: Write,
): Promise<void> {
  let statement: SqlStatement | undefined;
  const setting = () => ({
    alteration: file,
    phase,
    transaction: 'inside' as const,
    ...(statement ? { sql: { file, script, statement } } : {}),
  });
  await recorded(setting, context, record, async (transaction, onQuery) => {
    for (const [index, next] of script.statements.entries()) {
      statement = next;
      const at = { index: index + 1, total: script.statements.length };
      context.report({ type: 'statement', alteration: file, ...at, summary: next.summary });
      onQuery(next.text);
      await transaction.query(rawQuery(next.text));
    }
    statement = undefined;
  });
}

/** Runs a function of a script on the session itself. */
export async function runOutsideTransaction(
  phase: 'beforeUp' | 'beforeDown',
  { alteration: { file } }: Pick<LoadedModule, 'alteration'>,
  work: (connection: DatabasePoolConnection) => unknown,
  context: RunContext,
): Promise<void> {
  const failedQueries: FailedQueries = new Map();
  const { session, abandon, folder } = context;
  context.report({ type: 'phase', alteration: file, phase });
  try {
    await runPhase(work, session.connection, { session, abandon, failedQueries, transaction: 'outside' });
    await resetSession(context, file);
  } catch (error) {
    const setting = { alteration: file, phase, stage: 'script', transaction: 'outside' } as const;
    throw describeFailure(error, { ...setting, folder, session, failedQueries });
  }
}

type PartialSetting = Omit<FailureSetting, 'stage' | 'folder' | 'session'>;

async function recorded(
  setting: PartialSetting | (() => PartialSetting),
  { session, folder }: RunContext,
  record: Write,
  work: (transaction: DatabaseTransactionConnection, onQuery: (text: string) => void) => Promise<void>,
): Promise<void> {
  let mayHaveChangedRole = false;
  const onQuery = (text: string) => {
    mayHaveChangedRole ||= /\b(?:role|authorization)\b/i.test(text);
  };
  const currentSetting = () => (typeof setting === 'function' ? setting() : setting);
  let stage: FailureSetting['stage'] = 'script';
  try {
    await session.transaction(async (transaction) => {
      await work(transaction, onQuery);
      stage = 'record';
      // The history is ours to write, whatever role the alteration has taken.
      if (mayHaveChangedRole) await session.resetRole(transaction);
      await record(transaction);
      stage = 'commit';
    });
  } catch (error) {
    throw describeFailure(error, { ...currentSetting(), stage, folder, session });
  }
  await resetSession({ session }, currentSetting().alteration); // from here on it is applied, whatever fails
}
