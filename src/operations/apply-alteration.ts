import { EditedError } from '../core/errors.ts';
import type { HistoryRow } from '../core/history.ts';
import { digest } from '../folder/checksum.ts';
import type { LoadedModule, LoadedSql } from '../folder/load-alterations.ts';
import type { SqlStatement } from '../folder/split-sql.ts';
import { type Record, recordApplied, recordStarted } from '../postgres/history-table.ts';
import { dropInvalidIndex } from '../postgres/invalid-index.ts';
import { rawQuery } from '../postgres/query.ts';
import { describeFailure } from './describe-failure.ts';
import { runInTransaction, runOutsideTransaction, runSqlInTransaction } from './run-alteration.ts';
import type { ExecutableStep, RunContext } from './run-context.ts';

/** Runs an alteration up, and records it: in one transaction, as far as the alteration lets it. */
export async function applyAlteration(step: ExecutableStep, context: RunContext): Promise<void> {
  const { loaded } = step;
  if (loaded.kind === 'module') return applyModule(loaded, context);
  if (loaded.up.mode === 'transaction') return applySql(loaded, context);
  return applyStatements(loaded, step.started, context);
}

async function applyModule(loaded: LoadedModule, context: RunContext): Promise<void> {
  const { beforeUp, up } = loaded.script;
  const start = performance.now();
  if (beforeUp)
    await runOutsideTransaction('beforeUp', loaded, (connection) => beforeUp(connection), context);
  await runInTransaction(
    'up',
    loaded,
    (connection) => up(connection),
    context,
    (transaction) =>
      recordApplied(transaction, context.historyTable, recordOf(loaded, start), context.origin),
  );
}

async function applySql(loaded: LoadedSql, context: RunContext): Promise<void> {
  const start = performance.now();
  await runSqlInTransaction('up', loaded.alteration.file, loaded.up, context, (transaction) =>
    recordApplied(transaction, context.historyTable, recordOf(loaded, start), context.origin),
  );
}

/** Runs a no-transaction file statement by statement, and writes down how far it is before each next one. */
async function applyStatements(
  loaded: LoadedSql,
  started: HistoryRow | undefined,
  context: RunContext,
): Promise<void> {
  const { alteration, up } = loaded;
  const done = started?.statementDigests ?? [];
  const digests = up.statements.map(({ text }) => digest(text));
  refuseEditedDone(alteration.file, digests, done);
  const start = performance.now();
  await journal(loaded, digests.slice(0, done.length), start, context);
  await repeatSettings(up.statements.slice(0, done.length), context);
  for (const [index, statement] of up.statements.entries()) {
    if (index < done.length) continue;
    const { summary } = statement;
    const total = up.statements.length;
    context.report({ type: 'statement', alteration: alteration.file, index: index + 1, total, summary });
    const leftOver = started && index === done.length ? statement.concurrentIndex : undefined;
    try {
      if (leftOver) await dropInvalidIndex(context.session.connection, leftOver);
      await runJournalled(loaded, statement, digests.slice(0, index + 1), start, context);
    } catch (error) {
      throw describeFailure(error, {
        ...settingOf(loaded, context),
        sql: { file: alteration.file, script: up, statement },
        statements: { done: index, total },
      });
    }
  }
  await recordApplied(
    context.session.connection,
    context.historyTable,
    recordOf(loaded, start),
    context.origin,
  );
  await context.session.reset();
}

/** What an earlier session was set to by the statements that are done holds for those that follow too. */
async function repeatSettings(done: readonly SqlStatement[], { session }: RunContext): Promise<void> {
  for (const { kind, text } of done) {
    if (kind === 'VariableSetStmt') await session.connection.query(rawQuery(text));
  }
}

/** A statement that may run in a transaction shares it with its entry in the journal, and so is never done twice. */
async function runJournalled(
  loaded: LoadedSql,
  statement: SqlStatement,
  digests: readonly string[],
  start: number,
  context: RunContext,
): Promise<void> {
  const { session } = context;
  if (sharesTransaction(statement)) {
    await session.transaction(async (transaction) => {
      await transaction.query(rawQuery(statement.text));
      await recordStarted(
        transaction,
        context.historyTable,
        recordOf(loaded, start),
        context.origin,
        digests,
      );
    });
    return;
  }
  await session.connection.query(rawQuery(statement.text));
  await journal(loaded, digests, start, context);
}

/** A procedure or an anonymous block may commit by itself, which PostgreSQL allows only outside a transaction block. */
function sharesTransaction({ kind, refusesTransaction }: SqlStatement): boolean {
  return !refusesTransaction && !['CallStmt', 'DoStmt', 'unparsed'].includes(kind);
}

async function journal(loaded: LoadedSql, digests: readonly string[], start: number, context: RunContext) {
  const { session, historyTable, origin } = context;
  await recordStarted(session.connection, historyTable, recordOf(loaded, start), origin, digests);
}

function refuseEditedDone(file: string, digests: readonly string[], done: readonly string[]): void {
  const edited = done.findIndex((value, index) => value !== digests[index]);
  if (edited === -1) return;
  throw new EditedError(`Statement ${edited + 1} of "${file}" was edited after it was run.`, {
    problems: [{ file, message: `"${file}" is half done, and the part that is done was edited.` }],
    hint: 'Nothing was changed. Restore the statements that are done; those that follow may be edited.',
  });
}

function settingOf(loaded: LoadedSql, context: RunContext) {
  const { session, folder } = context;
  return {
    alteration: loaded.alteration.file,
    phase: 'up',
    stage: 'script',
    transaction: 'outside',
    folder,
    session,
  } as const;
}

function recordOf({ alteration, checksum }: LoadedModule | LoadedSql, start: number): Record {
  const { id, version, name } = alteration;
  return { id, version, name, checksum, durationMs: performance.now() - start };
}
