import { EditedError } from '../core/errors.ts';
import type { HistoryRow } from '../core/history.ts';
import type { LoadedAlteration, LoadedModule, LoadedSql } from '../folder/load-alterations.ts';
import { now } from '../now.ts';
import {
  type AlterationRecord,
  applied,
  changeRow,
  type RowChange,
  recordStarted,
} from '../postgres/history-table.ts';
import { runInTransaction, runOutsideTransaction, runSqlInTransaction } from './run-alteration.ts';
import type { ExecutableStep, RunContext } from './run-context.ts';
import { runStatements } from './run-statements.ts';

/** Runs an alteration up, and records it: in one transaction, as far as the alteration lets it. */
export async function applyAlteration(step: ExecutableStep, context: RunContext): Promise<void> {
  const { loaded } = step;
  const record = recordOf(loaded, now());
  const change = applied(context.historyTable, record, context.origin);
  if (loaded.kind === 'module') return applyModule(step, loaded, context, change);
  if (loaded.up.mode === 'no-transaction') return applyStatements(step, loaded, record, context, change);
  const check = (begun: HistoryRow | undefined) => refuseChangedKind(loaded, begun);
  const { up: script } = loaded;
  return runSqlInTransaction({ direction: 'up', step, script, check, change }, context);
}

async function applyModule(
  step: ExecutableStep,
  loaded: LoadedModule,
  context: RunContext,
  change: RowChange,
): Promise<void> {
  const { beforeUp, up } = loaded.script;
  const check = (begun: HistoryRow | undefined) => refuseChangedKind(loaded, begun);
  const direction = 'up';
  if (beforeUp) {
    const phase = 'beforeUp';
    await runOutsideTransaction(
      { direction, phase, step, check, work: (connection) => beforeUp(connection) },
      context,
    );
  }
  const before = beforeUp ? ('beforeUp' as const) : undefined;
  const phase = 'up';
  await runInTransaction(
    { direction, phase, before, step, check, work: (transaction) => up(transaction), change },
    context,
  );
}

async function applyStatements(
  step: ExecutableStep,
  loaded: LoadedSql,
  record: AlterationRecord,
  context: RunContext,
  change: RowChange,
): Promise<void> {
  const { file } = loaded.alteration;
  const { historyTable, origin } = context;
  await runStatements(
    {
      alteration: file,
      file,
      direction: 'up',
      step,
      checksum: loaded.checksum,
      script: loaded.up,
      record: (connection, journal) => recordStarted(connection, historyTable, record, origin, journal),
      finish: (connection) => changeRow(connection, change),
    },
    context,
  );
}

/** What an earlier run has done of a no-transaction file would be done again by a file of another kind. */
function refuseChangedKind({ alteration: { file } }: LoadedAlteration, begun: HistoryRow | undefined): void {
  const done = begun?.statementDigests.length ?? 0;
  if (done === 0) return;
  throw new EditedError(`"${file}" is half done, and it no longer is a no-transaction file.`, {
    problems: [{ file, message: `"${file}": ${done} of its statements are done and stay.` }],
    hint: 'Nothing was changed. Restore the file as it was, mend the statements that are not done yet, and deploy again.',
  });
}

function recordOf(loaded: LoadedAlteration, startedAt: number): AlterationRecord {
  const { id, version, name } = loaded.alteration;
  const { checksum, sourceDigest } = loaded;
  return { id, version, name, checksum, ...(sourceDigest ? { sourceDigest } : {}), startedAt };
}
