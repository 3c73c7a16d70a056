import { RollbackRefusedError } from '../core/errors.ts';
import type { LoadedModule } from '../folder/load-alterations.ts';
import { recordReverting, removeRow } from '../postgres/history-table.ts';
import type { Queryable } from '../postgres/query.ts';
import { runInTransaction, runOutsideTransaction, runSqlInTransaction } from './run-alteration.ts';
import type { ExecutableStep, RunContext } from './run-context.ts';
import { runStatements } from './run-statements.ts';

/** Runs an alteration down, and removes its row. */
export async function revertAlteration(
  { loaded, begun }: ExecutableStep,
  context: RunContext,
): Promise<void> {
  const { file: alteration, id, downFile } = loaded.alteration;
  const { historyTable, session } = context;
  const remove = (connection: Queryable) => removeRow(connection, historyTable, id);
  if (loaded.kind === 'module') return revertModule(loaded, context, remove);
  const { down: script } = loaded;
  if (!script) throw irreversible(alteration);
  const file = downFile ?? alteration;
  if (script.mode === 'transaction') return runSqlInTransaction('down', file, script, context, remove);
  const record = (connection: Queryable, digests: readonly string[]) =>
    recordReverting(connection, historyTable, id, digests);
  await runStatements({ alteration, file, phase: 'down', script, begun, record }, context);
  await remove(session.connection);
}

async function revertModule(
  loaded: LoadedModule,
  context: RunContext,
  remove: (connection: Queryable) => Promise<void>,
): Promise<void> {
  const { beforeDown, down } = loaded.script;
  if (!down) throw irreversible(loaded.alteration.file);
  if (beforeDown) {
    await runOutsideTransaction('beforeDown', loaded, (connection) => beforeDown(connection), context);
  }
  const before = beforeDown ? ('beforeDown' as const) : undefined;
  await runInTransaction('down', before, loaded, (connection) => down(connection), context, remove);
}

function irreversible(file: string): RollbackRefusedError {
  return new RollbackRefusedError(`"${file}" has no down.`);
}
