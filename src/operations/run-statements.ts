import { EditedError } from '../core/errors.ts';
import type { HistoryRow } from '../core/history.ts';
import { digest } from '../folder/checksum.ts';
import type { SqlScript, SqlStatement } from '../folder/split-sql.ts';
import { dropInvalidIndex } from '../postgres/invalid-index.ts';
import { type Queryable, rawQuery } from '../postgres/query.ts';
import { describeFailure } from './describe-failure.ts';
import { resetSession } from './reset-session.ts';
import type { RunContext } from './run-context.ts';

/** A no-transaction file on its way up or down. */
export interface StatementRun {
  /** File name of the alteration. */
  readonly alteration: string;
  /** File that holds the statements; of a pair going down, the `.down.sql`. */
  readonly file: string;
  readonly phase: 'up' | 'down';
  readonly script: SqlScript;
  /** The row that an earlier run has left half-way. */
  readonly begun: HistoryRow | undefined;
  /** Writes down which statements are done. */
  readonly record: (connection: Queryable, digests: readonly string[]) => Promise<void>;
}

/** Runs a no-transaction file statement by statement, and writes down how far it is before each next one. */
export async function runStatements(run: StatementRun, context: RunContext): Promise<void> {
  const { alteration, file, phase, script, begun, record } = run;
  const done = begun?.statementDigests ?? [];
  const digests = script.statements.map(({ text }) => digest(text));
  refuseEditedDone(file, digests, done);
  const { session, folder, report } = context;
  await record(session.connection, digests.slice(0, done.length));
  await repeatSettings(script.statements.slice(0, done.length), context);
  const total = script.statements.length;
  for (const [index, statement] of script.statements.entries()) {
    if (index < done.length) continue;
    report({ type: 'statement', alteration: file, index: index + 1, total, summary: statement.summary });
    const leftOver = begun && index === done.length ? statement.concurrentIndex : undefined;
    try {
      if (leftOver) await dropInvalidIndex(session.connection, leftOver);
      await runJournalled(statement, context, (connection) =>
        record(connection, digests.slice(0, index + 1)),
      );
    } catch (error) {
      const setting = {
        alteration,
        phase,
        stage: 'script',
        transaction: 'outside',
        folder,
        session,
      } as const;
      const statements = { done: index, total };
      throw describeFailure(error, { ...setting, sql: { file, script, statement }, statements });
    }
  }
  await resetSession(context, alteration);
}

/** What an earlier session was set to by the statements that are done holds for those that follow too. */
async function repeatSettings(done: readonly SqlStatement[], { session }: RunContext): Promise<void> {
  for (const { kind, text } of done) {
    const sets = kind === 'VariableSetStmt' || /^select\s+(?:pg_catalog\s*\.\s*)?set_config\s*\(/i.test(text);
    if (sets) await session.connection.query(rawQuery(text));
  }
}

/** A statement that may run in a transaction shares it with its entry in the journal, and so is never done twice. */
async function runJournalled(
  statement: SqlStatement,
  { session }: RunContext,
  record: (connection: Queryable) => Promise<void>,
): Promise<void> {
  if (!sharesTransaction(statement)) {
    await session.connection.query(rawQuery(statement.text));
    return record(session.connection);
  }
  await session.transaction(async (transaction) => {
    await transaction.query(rawQuery(statement.text));
    await record(transaction);
  });
}

/** A procedure or an anonymous block may commit by itself, which PostgreSQL allows only outside a transaction block. */
function sharesTransaction({ kind, refusesTransaction }: SqlStatement): boolean {
  return !refusesTransaction && !['CallStmt', 'DoStmt', 'unparsed'].includes(kind);
}

function refuseEditedDone(file: string, digests: readonly string[], done: readonly string[]): void {
  const edited = done.findIndex((value, index) => value !== digests[index]);
  if (edited === -1) return;
  throw new EditedError(`Statement ${edited + 1} of "${file}" was edited after it was run.`, {
    problems: [{ file, message: `"${file}" is half done, and the part that is done was edited.` }],
    hint: 'Nothing was changed. Restore the statements that are done; those that follow may be edited.',
  });
}
