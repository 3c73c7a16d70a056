import { RollbackRefusedError } from '../core/errors.ts';
import type { LoadedModule } from '../folder/load-alterations.ts';
import { changeRow, type RowChange, recordReverting, removed } from '../postgres/history-table.ts';
import { runInTransaction, runOutsideTransaction, runSqlInTransaction } from './run-alteration.ts';
import type { ExecutableStep, RunContext } from './run-context.ts';
import { runStatements } from './run-statements.ts';

/** Runs an alteration down, and removes its row. */
export async function revertAlteration(step: ExecutableStep, context: RunContext): Promise<void> {
  const { loaded } = step;
  const { file: alteration, id, downFile } = loaded.alteration;
  const { historyTable } = context;
  const change = removed(historyTable, id);
  if (loaded.kind === 'module') return revertModule(step, loaded, context, change);
  const { down: script } = loaded;
  if (!script) throw irreversible(alteration);
  const file = downFile ?? alteration;
  const direction = 'down';
  if (script.mode === 'transaction') {
    return runSqlInTransaction({ direction, step, file, script, change }, context);
  }
  const record: Parameters<typeof runStatements>[0]['record'] = (connection, journal) =>
    recordReverting(connection, historyTable, id, journal);
  const finish: Parameters<typeof runStatements>[0]['finish'] = (connection) => changeRow(connection, change);
  await runStatements({ alteration, file, direction, step, script, record, finish }, context);
}

async function revertModule(
  step: ExecutableStep,
  loaded: LoadedModule,
  context: RunContext,
  change: RowChange,
): Promise<void> {
  const { beforeDown, down } = loaded.script;
  if (!down) throw irreversible(loaded.alteration.file);
  const direction = 'down';
  if (beforeDown) {
    const phase = 'beforeDown';
    await runOutsideTransaction(
      { direction, phase, step, work: (connection) => beforeDown(connection) },
      context,
    );
  }
  const before = beforeDown ? ('beforeDown' as const) : undefined;
  await runInTransaction(
    { direction, phase: 'down', before, step, work: (transaction) => down(transaction), change },
    context,
  );
}

function irreversible(file: string): RollbackRefusedError {
  return new RollbackRefusedError(`"${file}" has no down.`);
}
