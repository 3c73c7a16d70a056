import { EditedError } from '../core/errors.ts';
import type { HistoryRow } from '../core/history.ts';
import type { LoadedAlteration, LoadedModule, LoadedSql } from '../folder/load-alterations.ts';
import { type AlterationRecord, recordApplied, recordStarted } from '../postgres/history-table.ts';
import type { Queryable } from '../postgres/query.ts';
import { runInTransaction, runOutsideTransaction, runSqlInTransaction } from './run-alteration.ts';
import type { ExecutableStep, RunContext } from './run-context.ts';
import { runStatements } from './run-statements.ts';

/** Runs an alteration up, and records it: in one transaction, as far as the alteration lets it. */
export async function applyAlteration({ loaded, begun }: ExecutableStep, context: RunContext): Promise<void> {
  const start = performance.now();
  const record = (connection: Queryable) =>
    recordApplied(connection, context.historyTable, recordOf(loaded, start), context.origin);
  if (loaded.kind === 'sql' && loaded.up.mode === 'no-transaction') {
    await applyStatements(loaded, begun, start, context);
    return record(context.session.connection);
  }
  refuseChangedKind(loaded, begun);
  if (loaded.kind === 'module') return applyModule(loaded, context, record);
  return runSqlInTransaction('up', loaded.alteration.file, loaded.up, context, record);
}

async function applyModule(
  loaded: LoadedModule,
  context: RunContext,
  record: (connection: Queryable) => Promise<void>,
): Promise<void> {
  const { beforeUp, up } = loaded.script;
  if (beforeUp)
    await runOutsideTransaction('beforeUp', loaded, (connection) => beforeUp(connection), context);
  const before = beforeUp ? ('beforeUp' as const) : undefined;
  await runInTransaction('up', before, loaded, (connection) => up(connection), context, record);
}

async function applyStatements(
  loaded: LoadedSql,
  begun: HistoryRow | undefined,
  start: number,
  context: RunContext,
): Promise<void> {
  const { file } = loaded.alteration;
  const { historyTable, origin } = context;
  const record = (connection: Queryable, digests: readonly string[]) =>
    recordStarted(connection, historyTable, recordOf(loaded, start), origin, digests);
  await runStatements({ alteration: file, file, phase: 'up', script: loaded.up, begun, record }, context);
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

function recordOf({ alteration, checksum }: LoadedAlteration, start: number): AlterationRecord {
  const { id, version, name } = alteration;
  return { id, version, name, checksum, durationMs: performance.now() - start };
}
