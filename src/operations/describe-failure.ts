import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  AlterationError,
  AlterationFailedError,
  AlterationHalfDoneError,
  type DatabaseFailure,
  HistoryError,
  type Phase,
  type Place,
  SessionLostError,
  StoppedError,
} from '../core/errors.ts';
import { excerptAt } from '../folder/excerpt.ts';
import { placeOf, type SqlScript, type SqlStatement } from '../folder/split-sql.ts';
import { findPlace } from '../folder/stack-place.ts';
import {
  describeDenial,
  findDatabaseFailure,
  findMessage,
  isSessionLoss,
} from '../postgres/database-failure.ts';
import type { HistoryTable } from '../postgres/history-table.ts';

import type { FailedQueries } from './run-phase.ts';

/** What was going on when something failed. */
export interface FailureSetting {
  /** File name of the alteration. */
  readonly alteration: string;
  readonly phase: Phase;
  /** The phase outside the transaction that has been run before this one. */
  readonly before?: 'beforeUp' | 'beforeDown' | undefined;
  /** `script`: its own work · `record`: writing the history row · `commit`: ending the transaction. */
  readonly stage: 'script' | 'record' | 'commit';
  readonly transaction: 'inside' | 'outside';
  /** Whether it shares its transaction with the others of the run. */
  readonly isShared?: boolean;
  /** Whether the commit is on its way already: a server that is lost may have got it. */
  readonly isCommitSent?: boolean;
  readonly folder: string;
  readonly session: { readonly lost: AbortSignal };
  readonly historyTable?: HistoryTable;
  readonly abandon?: AbortSignal | undefined;
  readonly failedQueries?: FailedQueries;
  /** The statement of a SQL file that was under way. */
  readonly sql?: { readonly file: string; readonly script: SqlScript; readonly statement: SqlStatement };
  /** Of a no-transaction file. */
  readonly statements?: { readonly done: number; readonly total: number };
}

/** Turns whatever ended an alteration into the error that tells it. */
export function describeFailure(error: unknown, setting: FailureSetting): AlterationError {
  if (setting.session.lost.aborted || isSessionLoss(error)) return describeLoss(error, setting);
  // What is cut off outside a transaction is half done; a stop that comes before it begins leaves nothing.
  const interrupted =
    error instanceof StoppedError && setting.transaction === 'outside' && setting.abandon?.aborted;
  if (error instanceof AlterationError && !error.code.startsWith('usage') && !interrupted) return error;
  const denial = setting.stage === 'record' ? describeDenial(error) : undefined;
  if (denial) return denial;
  const found = findDatabaseFailure(error);
  const culprit = found?.sqlState === '57014' ? findCulprit(setting) : undefined;
  if (culprit !== undefined) {
    const { sql: _, ...elsewhere } = setting;
    return describeFailure(culprit, elsewhere);
  }
  if (setting.stage === 'record' && found && !isScriptsFault(found))
    return describeUnwritable(found, setting, error);
  const swallowed = findSwallowed(found, setting);
  const query = setting.failedQueries?.get(swallowed ?? error);
  const statement = setting.sql?.statement.text ?? query?.text;
  const database = found && { ...found, ...(statement ? { statement } : {}) };
  const options = {
    alteration: setting.alteration,
    phase: setting.phase,
    place: findFailurePlace(swallowed ?? error, database, setting),
    database,
    hint: describeRemedy(error, database, setting),
    cause: swallowed ?? error,
  };
  const message = describeMessage(error, database, setting, swallowed);
  if (setting.transaction === 'inside') return new AlterationFailedError(message, options);
  const { statements } = setting;
  return new AlterationHalfDoneError(message, statements ? { ...options, statements } : options);
}

/** Why the statement was cancelled: what a script left running has failed, its own or that of one before it. */
function findCulprit({ abandon }: FailureSetting): unknown {
  return abandon?.aborted && !(abandon.reason instanceof StoppedError) ? abandon.reason : undefined;
}

/** A transaction that the script has let fail, and locks or a stop that may come at any statement. */
function isScriptsFault({ sqlState }: DatabaseFailure): boolean {
  return /^(?:25P02|55P03|40P01|57014)$/.test(sqlState ?? '');
}

function describeUnwritable(
  { message }: DatabaseFailure,
  { alteration, before, transaction, historyTable }: FailureSetting,
  cause: unknown,
): HistoryError {
  const table = historyTable ? ` "${historyTable.schema}.${historyTable.table}"` : '';
  const fate =
    transaction === 'inside'
      ? `It was rolled back${before ? `; what ${before} did stays` : ''}.`
      : 'What it has done outside a transaction stays.';
  return new HistoryError(`The history table${table} does not take the row of "${alteration}": ${message}.`, {
    hint: `${fate} Has somebody dropped or changed the table meanwhile? Restore it, then run again.`,
    cause,
  });
}

/** The error of a query that the script went on after: the last one that was not a consequence of it. */
function findSwallowed(
  database: DatabaseFailure | undefined,
  { failedQueries = new Map() }: FailureSetting,
): unknown {
  if (database?.sqlState !== '25P02') return undefined;
  return [...failedQueries.keys()].findLast((error) => findDatabaseFailure(error)?.sqlState !== '25P02');
}

function describeMessage(
  error: unknown,
  database: DatabaseFailure | undefined,
  setting: FailureSetting,
  swallowed: unknown,
): string {
  const { alteration, phase, stage } = setting;
  const where = phase === 'up' ? '' : ` in ${phase}`;
  if (stage === 'record' && database?.sqlState === '25P02') {
    const reason = swallowed === undefined ? '' : ` (${findMessage(swallowed)})`;
    return `"${alteration}" failed${where}: it went on after one of its statements had failed${reason}, and PostgreSQL had given up the transaction.`;
  }
  if (!(error instanceof Error)) {
    return `"${alteration}" failed${where}: it threw ${describeThrown(error)}, which is not an Error.`;
  }
  const reason = (database?.message ?? findMessage(error)).trim().replace(/\.$/, '');
  return `"${alteration}" failed${where}${stage === 'commit' ? ' at its commit' : ''}: ${reason || error.name}.`;
}

function describeThrown(value: unknown): string {
  if (typeof value === 'string') return `the string ${JSON.stringify(value.slice(0, 200))}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return String(value);
}

function describeRemedy(
  error: unknown,
  database: DatabaseFailure | undefined,
  setting: FailureSetting,
): string {
  const { phase, before, statements, transaction, stage, isShared } = setting;
  if (transaction === 'inside') {
    const stays = before ? `what ${before} did stays, and it will be run again` : 'nothing of it stays';
    const own = error instanceof AlterationError ? error.hint : undefined;
    const last = isShared ? 'Mend it and run again.' : 'Mend it and run again; that goes on from here.';
    const advice =
      stage === 'record' && database?.sqlState === '25P02'
        ? 'Let errors out of the script, or put what may fail into connection.transaction(…).'
        : (own ?? describeLimit(database, setting) ?? last);
    return isShared
      ? `All was rolled back: nothing of this run stays. ${advice}`
      : `It was rolled back: ${stays}. ${advice}`;
  }
  if (statements) {
    const again = phase === 'up' ? 'deploy' : 'rollback';
    return `It runs outside a transaction: ${statements.done} of its ${statements.total} statements are done and stay. Mend what failed; the next ${again} goes on with statement ${statements.done + 1}.`;
  }
  return `What ${phase} had done stays. It runs again from its start the next time: it must be re-runnable.`;
}

/** What PostgreSQL allows only after the commit of something before, or first of all. */
function describeLimit(
  database: DatabaseFailure | undefined,
  { isShared }: FailureSetting,
): string | undefined {
  // a new value of an enum; a table with events of deferred triggers; a transaction's isolation
  if (!isShared || !['55P04', '55006', '25001'].includes(database?.sqlState ?? '')) return undefined;
  return 'It may be fine in a transaction of its own: deploy without --atomic.';
}

function findFailurePlace(
  error: unknown,
  database: DatabaseFailure | undefined,
  { sql, folder, failedQueries }: FailureSetting,
): Place | undefined {
  if (sql) {
    return { file: sql.file, ...placeOf(sql.script, sql.statement, database?.position ?? 1) };
  }
  const place = findPlace(error, folder) ?? findPlace(failedQueries?.get(error)?.callSite, folder);
  if (!place) return undefined;
  return { ...place, ...readExcerpt(folder, place) };
}

/** The lines around a place; a source map may lead to a file that is not there. */
function readExcerpt(
  folder: string,
  place: { file: string; line: number; column: number },
): { excerpt?: string } {
  try {
    return { excerpt: excerptAt(readFileSync(join(folder, place.file), 'utf8'), place.line, place.column) };
  } catch {
    return {};
  }
}

function describeLoss(error: unknown, setting: FailureSetting): SessionLostError {
  const { alteration, phase, stage, transaction, isCommitSent, session } = setting;
  const reason = findMessage(session.lost.aborted ? session.lost.reason : error).replace(/\.$/, '');
  // A server that says itself why it ends the session has not come to the commit.
  const isCertain = !isCommitSent || (stage !== 'commit' && findDatabaseFailure(error) !== undefined);
  const inside = isCertain ? 'PostgreSQL rolls it back' : 'Whether it was still committed, its row tells';
  const fate = transaction === 'inside' ? inside : 'What it had done stays';
  return new SessionLostError(
    `The database session was lost while "${alteration}" was in ${phase}: ${reason}.`,
    { hint: `${fate}. Run it again: it goes on from what is applied.`, cause: error },
  );
}
