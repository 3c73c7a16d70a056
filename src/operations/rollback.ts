import { type Problem, RollbackRefusedError } from '../core/errors.ts';
import { currentVersion, planRollback, type RollbackPlan } from '../core/plan.ts';
import { parseTarget, renderTarget } from '../core/target.ts';
import type { LoadedAlteration } from '../folder/load-alterations.ts';
import { now } from '../now.ts';
import { upgradeHistoryTable } from '../postgres/history-table.ts';
import type { RunEvent } from './events.ts';
import { executePlan, type FinishedStep } from './execute-plan.ts';
import { withGrace } from './grace.ts';
import { refuseEdited } from './integrity.ts';
import { loadScripts } from './load-scripts.ts';
import {
  defaultLockDeadlineMs,
  defaultLockTimeoutMs,
  newOrigin,
  type RunOptions,
  reporterOf,
} from './options.ts';
import { type RollbackReport, reportVersion } from './reports.ts';
import type { ExecutableStep } from './run-context.ts';
import { describeAlteration, type Snapshot, withSnapshot } from './snapshot.ts';
import { underLock } from './under-lock.ts';

export interface RollbackOptions extends RunOptions {
  /** The version to go back to; everything newer is taken back. `latest` takes back what is not released. */
  readonly target: string;
  /** Tells what would be done and changes nothing. */
  readonly dryRun?: boolean;
  /** Runs the `down` of edited files as they are now. */
  readonly allowEdited?: boolean;
  /** Asked once with what would be rolled back, before the lock is taken; false ends the rollback with nothing done. */
  readonly confirm?: (planned: RollbackReport['planned']) => Promise<boolean>;
}

/**
 * Runs `down` of everything newer than the target, newest first, each in a transaction with the removal of its row.
 * Refuses before touching anything when one has no `down` or no file. Throws an AlterationError; see its subclasses.
 */
export async function rollback(given: RollbackOptions): Promise<RollbackReport> {
  return withGrace(given, runRollback);
}

async function runRollback(options: RollbackOptions): Promise<RollbackReport> {
  const target = parseTarget(options.target);
  const report = reporterOf(options);
  return withSnapshot(`rollback ${renderTarget(target)}`, options, 'run', async (snapshot) => {
    report({ type: 'connected', database: snapshot.session.database });
    const prepare = (current: Snapshot) =>
      prepareRollback(current, planRollback(current.alterations, current.history, target), options);
    const prepared = await prepare(snapshot);
    const planned = prepared.plan.steps.map(({ alteration }) => describeAlteration(alteration));
    const wanted = !options.dryRun && planned.length > 0 && ((await options.confirm?.(planned)) ?? true);
    const start = now(); // what the answer took is not the rollback's
    const finished = wanted ? await rollBackUnderLock(snapshot, prepared.plan, prepare, options, report) : [];
    return describeOutcome(snapshot, options, prepared.plan, finished, now() - start);
  });
}

interface Prepared {
  readonly plan: RollbackPlan;
  readonly loaded: readonly LoadedAlteration[];
}

async function prepareRollback(
  snapshot: Snapshot,
  plan: RollbackPlan,
  options: RollbackOptions,
): Promise<Prepared> {
  const affected = new Set(plan.steps.map(({ alteration: { id } }) => id));
  if (!options.allowEdited)
    refuseEdited(snapshot.edited.filter(({ alteration: { id } }) => affected.has(id)));
  const loaded = await loadScripts(
    snapshot,
    plan.steps.map(({ alteration }) => alteration),
    options,
  );
  refuseImpossible(plan, loaded);
  return { plan, loaded };
}

function refuseImpossible(plan: RollbackPlan, loaded: readonly LoadedAlteration[]): void {
  const problems: readonly Problem[] = [
    ...loaded
      .filter((one) => !hasDown(one))
      .map(({ alteration: { file } }) => ({ file, message: `"${file}" has no down.` })),
    ...plan.missing.map(({ id, version, name }) => ({
      message: `"${name}" (${version}, ${id}) is applied, and its file is missing.`,
    })),
    ...plan.unfinished.map(({ id, name }) => ({
      message: `"${name}" (${id}) is half done; deploy it to its end first.`,
    })),
  ];
  if (problems.length === 0) return;
  throw new RollbackRefusedError(`The rollback to ${renderTarget(plan.target)} cannot be done.`, {
    problems,
    hint: 'Nothing was changed. Choose a newer target, or restore what is missing.',
  });
}

function hasDown(loaded: LoadedAlteration): boolean {
  return loaded.kind === 'module' ? loaded.script.down !== undefined : loaded.down !== undefined;
}

async function rollBackUnderLock(
  snapshot: Snapshot,
  agreed: RollbackPlan,
  prepare: (snapshot: Snapshot) => Promise<Prepared>,
  options: RollbackOptions,
  report: (event: RunEvent) => void,
): Promise<readonly FinishedStep[]> {
  return underLock(snapshot, options, report, async ({ locked, onHistory }) => {
    const { current, plan, loaded } = await onHistory(async (fresh, transaction) => {
      const prepared = await prepare(fresh);
      refuseGrown(prepared.plan, agreed);
      await upgradeHistoryTable(transaction, fresh.historyTable, fresh.tableState);
      return { current: fresh, ...prepared };
    });
    const { session, folder, historyTable, history } = current;
    report({ type: 'planned', direction: 'down', total: plan.steps.length, late: 0 });
    const { stop, abandon, lockTimeoutMs, lockDeadlineMs } = options;
    return executePlan('down', pairSteps(plan, loaded), {
      session,
      locked,
      folder,
      historyTable,
      origin: newOrigin(),
      report,
      stop,
      abandon,
      lockTimeoutMs: lockTimeoutMs ?? defaultLockTimeoutMs,
      lockDeadlineMs: lockDeadlineMs ?? defaultLockDeadlineMs,
      planned: history.map(({ id }) => id),
    });
  });
}

function pairSteps(plan: RollbackPlan, loaded: readonly LoadedAlteration[]): readonly ExecutableStep[] {
  const rows = new Map(plan.steps.map(({ row }) => [row.id, row]));
  return loaded.map((one) => {
    const row = rows.get(one.alteration.id);
    return { loaded: one, late: false, ...(row?.state === 'reverting' ? { begun: row } : {}) };
  });
}

/** What somebody else deployed while this one waited was not agreed to. */
function refuseGrown(plan: RollbackPlan, agreed: RollbackPlan): void {
  const known = new Set(agreed.steps.map(({ alteration: { id } }) => id));
  const grown = plan.steps.filter(({ alteration: { id } }) => !known.has(id));
  if (grown.length === 0) return;
  throw new RollbackRefusedError('The history has grown since the rollback was planned.', {
    problems: grown.map(({ alteration: { file } }) => ({
      file,
      message: `"${file}" was applied in the meantime.`,
    })),
    hint: 'Nothing was changed. Look at it again, and repeat the rollback.',
  });
}

function describeOutcome(
  { session, alterations, history }: Snapshot,
  { dryRun = false }: RollbackOptions,
  plan: RollbackPlan,
  finished: readonly FinishedStep[],
  durationMs: number,
): RollbackReport {
  const gone = new Set(finished.map(({ alteration }) => alteration.id));
  return {
    schemaVersion: reportVersion,
    command: 'rollback',
    dryRun,
    database: session.database,
    target: renderTarget(plan.target),
    versionBefore: currentVersion(alterations, history) ?? null,
    version:
      currentVersion(
        alterations,
        history.filter(({ id }) => !gone.has(id)),
      ) ?? null,
    planned: dryRun ? plan.steps.map(({ alteration }) => describeAlteration(alteration)) : [],
    rolledBack: finished.map(({ alteration, durationMs: ms }) => ({
      ...describeAlteration(alteration),
      durationMs: ms,
    })),
    durationMs: Math.round(durationMs),
  };
}
