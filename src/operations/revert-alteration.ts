import { RollbackRefusedError } from '../core/errors.ts';
import type { LoadedModule, LoadedSql } from '../folder/load-alterations.ts';
import type { SqlScript } from '../folder/split-sql.ts';
import { removeRow } from '../postgres/history-table.ts';
import { rawQuery } from '../postgres/query.ts';
import { describeFailure } from './describe-failure.ts';
import { runInTransaction, runOutsideTransaction, runSqlInTransaction } from './run-alteration.ts';
import type { ExecutableStep, RunContext } from './run-context.ts';

/** Runs an alteration down, and removes its row. */
export async function revertAlteration({ loaded }: ExecutableStep, context: RunContext): Promise<void> {
  const { file, id } = loaded.alteration;
  const remove = (connection: Parameters<typeof removeRow>[0]) =>
    removeRow(connection, context.historyTable, id);
  if (loaded.kind === 'module') return revertModule(loaded, context, remove);
  const { down } = loaded;
  if (!down) throw irreversible(file);
  const downFile = loaded.alteration.downFile ?? file;
  if (down.mode === 'transaction') return runSqlInTransaction('down', downFile, down, context, remove);
  await revertStatements(loaded, downFile, down, context);
  await remove(context.session.connection);
}

async function revertModule(
  loaded: LoadedModule,
  context: RunContext,
  remove: (connection: Parameters<typeof removeRow>[0]) => Promise<void>,
): Promise<void> {
  const { beforeDown, down } = loaded.script;
  if (!down) throw irreversible(loaded.alteration.file);
  if (beforeDown)
    await runOutsideTransaction('beforeDown', loaded, (connection) => beforeDown(connection), context);
  await runInTransaction('down', loaded, (connection) => down(connection), context, remove);
}

async function revertStatements(
  loaded: LoadedSql,
  file: string,
  script: SqlScript,
  { session, folder, report }: RunContext,
): Promise<void> {
  const total = script.statements.length;
  for (const [index, statement] of script.statements.entries()) {
    report({ type: 'statement', alteration: file, index: index + 1, total, summary: statement.summary });
    try {
      await session.connection.query(rawQuery(statement.text));
    } catch (error) {
      const setting = { phase: 'down', stage: 'script', transaction: 'outside', folder, session } as const;
      const sql = { file, script, statement };
      const statements = { done: index, total };
      throw describeFailure(error, { ...setting, alteration: loaded.alteration.file, sql, statements });
    }
  }
  await session.reset();
}

function irreversible(file: string): RollbackRefusedError {
  return new RollbackRefusedError(`"${file}" has no down.`);
}
