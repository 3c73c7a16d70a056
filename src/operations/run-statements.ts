import { EditedError } from '../core/errors.ts';
import type { HistoryRow } from '../core/history.ts';
import { digest } from '../folder/checksum.ts';
import { isSetting, type SqlScript, type SqlStatement } from '../folder/split-sql.ts';
import { type ConcurrentWait, hasConcurrentEffect } from '../postgres/concurrent-work.ts';
import type { Connection } from '../postgres/connection.ts';
import type { StatementJournal } from '../postgres/history-table.ts';
import type { OutsideSession } from '../postgres/locked-session.ts';
import { type Queryable, rawQuery } from '../postgres/query.ts';
import { confirmStep } from './confirm-step.ts';
import { describeFailure, type FailureSetting } from './describe-failure.ts';
import { resetSession } from './reset-session.ts';
import { retryOnLocks } from './retry-locks.ts';
import { runConcurrentWork } from './run-concurrent-work.ts';
import type { ExecutableStep, RunContext } from './run-context.ts';

/** A no-transaction file on its way up or down. */
export interface StatementRun {
  /** File name of the alteration. */
  readonly alteration: string;
  /** File that holds the statements; of a pair going down, the `.down.sql`. */
  readonly file: string;
  readonly direction: 'up' | 'down';
  readonly step: ExecutableStep;
  /** Of the file as it is now, where the row holds one. */
  readonly checksum?: string;
  readonly script: SqlScript;
  /** Writes down how far the file is. */
  readonly record: (connection: Queryable, journal: StatementJournal) => Promise<void>;
  /** Writes the history's change when all is done. */
  readonly finish: (connection: Connection) => Promise<void>;
}

/** Runs a no-transaction file statement by statement, and writes down how far it is before each next one. */
export async function runStatements(run: StatementRun, context: RunContext): Promise<void> {
  const { alteration, direction, step, script } = run;
  const total = script.statements.length;
  await context.locked.outside(async (outside) => {
    const begun = await confirmStep(direction, step, outside.connection, context);
    const done = await resume(run, begun, outside, context);
    for (const [index, statement] of script.statements.entries()) {
      if (index < done) continue;
      const { summary } = statement;
      context.report({ type: 'statement', alteration: run.file, index: index + 1, total, summary });
      await runStatement({ run, begun, index, statement }, outside, context);
    }
    await resetSession(context, alteration);
    await recordOutside(run, total, context, async () => {
      await outside.check();
      await run.finish(outside.connection);
    });
  }, context.patience.lockTimeoutMs);
}

/** Goes back to where an earlier run has stopped; gives the number of statements that are done. */
async function resume(
  run: StatementRun,
  begun: HistoryRow | undefined,
  { connection }: OutsideSession,
  context: RunContext,
): Promise<number> {
  const { file, checksum, script, record } = run;
  const done = begun?.statementDigests ?? [];
  const digests = script.statements.map(({ text }) => digest(text));
  refuseEditedDone(file, digests, done);
  if (begun && checksum && begun.checksum !== checksum)
    context.report({ type: 'rest-edited', alteration: file });
  const { statementUnderWay: underWay } = begun ?? {};
  await recordOutside(run, done.length, context, () =>
    record(connection, { done, ...(underWay ? { underWay } : {}) }),
  );
  for (const statement of script.statements.slice(0, done.length).filter(isSetting)) {
    const sql = { file, script, statement };
    // What it sets holds for those that follow too.
    await described(run, { stage: 'script', sql }, done.length, context, () =>
      connection.query(rawQuery(statement.text)),
    );
  }
  return done.length;
}

interface StatementTurn {
  readonly run: StatementRun;
  readonly begun: HistoryRow | undefined;
  readonly index: number;
  readonly statement: SqlStatement;
}

async function runStatement(
  turn: StatementTurn,
  outside: OutsideSession,
  context: RunContext,
): Promise<void> {
  const { run, index, statement } = turn;
  const sql = { file: run.file, script: run.script, statement };
  const attempt = () =>
    described(run, { stage: 'script', sql }, index, context, async () => {
      context.abandon?.throwIfAborted();
      await outside.check();
      if (sharesTransaction(statement)) await runWithJournal(turn, outside, context);
      else await runAlone(turn, outside, context);
      await outside.check();
    });
  // What the statements before it have made of the session is for those that follow: it is not reset.
  if (mayCommit(statement)) await attempt();
  else await retryOnLocks(run.alteration, context, attempt, async () => undefined);
  if (sharesTransaction(statement)) return;
  const done = digestsUpTo(turn);
  await recordOutside(run, index, context, () => run.record(outside.connection, { done }));
}

/** A statement that may run in a transaction shares it with its entry in the journal, and so is never done twice. */
async function runWithJournal(
  turn: StatementTurn,
  outside: OutsideSession,
  context: RunContext,
): Promise<void> {
  const { run, index, statement } = turn;
  await outside.transaction(async (transaction) => {
    await transaction.query(rawQuery(statement.text));
    await outside.check();
    await described(run, { stage: 'record' }, index, context, () =>
      run.record(transaction, { done: digestsUpTo(turn) }),
    );
  });
}

/** A statement that PostgreSQL refuses in a transaction, or that may commit by itself. */
async function runAlone(
  { run, begun, index, statement }: StatementTurn,
  outside: OutsideSession,
  context: RunContext,
): Promise<void> {
  const { connection } = outside;
  const send = async () => {
    await connection.query(rawQuery(statement.text));
  };
  const { concurrentWork: work } = statement;
  if (!work) return send();
  const underWay = digest(statement.text);
  const resumed = index === begun?.statementDigests.length && begun.statementUnderWay === underWay;
  // Whoever finds the mark after a kill knows that what is there then is the statement's doing.
  if (!resumed && !(await hasConcurrentEffect(connection, work))) {
    const done = run.script.statements.slice(0, index).map(({ text }) => digest(text));
    await described(run, { stage: 'record' }, index, context, () =>
      run.record(connection, { done, underWay }),
    );
  }
  const onWait = ({ blockers }: ConcurrentWait) =>
    context.report({ type: 'blocked', alteration: run.alteration, blockers });
  await runConcurrentWork(work, send, outside, { resumed, signal: context.abandon, onWait });
}

function digestsUpTo({ run, index }: StatementTurn): readonly string[] {
  return run.script.statements.slice(0, index + 1).map(({ text }) => digest(text));
}

/** The statement is done, and is not done again for an entry that others keep from being written. */
function recordOutside(
  run: StatementRun,
  done: number,
  context: RunContext,
  record: () => Promise<void>,
): Promise<void> {
  const attempt = () => described(run, { stage: 'record' }, done, context, record);
  return retryOnLocks(run.alteration, context, attempt, async () => undefined);
}

function sharesTransaction(statement: SqlStatement): boolean {
  return !statement.refusesTransaction && !mayCommit(statement);
}

/**
 * A procedure or an anonymous block may commit by itself, which PostgreSQL allows only outside a transaction block.
 * What it has committed would be done again.
 */
function mayCommit({ kind }: SqlStatement): boolean {
  return ['CallStmt', 'DoStmt', 'unparsed'].includes(kind);
}

async function described<T>(
  { alteration, direction: phase, script }: StatementRun,
  setting: Pick<FailureSetting, 'stage' | 'sql'>,
  done: number,
  { folder, session, historyTable, abandon }: RunContext,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const statements = { done, total: script.statements.length };
    const transaction = 'outside' as const;
    throw describeFailure(error, {
      ...setting,
      alteration,
      phase,
      transaction,
      folder,
      session,
      historyTable,
      abandon,
      statements,
    });
  }
}

function refuseEditedDone(file: string, digests: readonly string[], done: readonly string[]): void {
  const edited = done.findIndex((value, index) => value !== digests[index]);
  if (edited === -1) return;
  throw new EditedError(`Statement ${edited + 1} of "${file}" was edited after it was run.`, {
    problems: [{ file, message: `"${file}" is half done, and the part that is done was edited.` }],
    hint: 'Nothing was changed. Restore the statements that are done; those that follow may be edited.',
  });
}
