import type { Renaming } from '../core/history.ts';
import { currentVersion, type DeployPlan, planDeploy } from '../core/plan.ts';
import { parseTarget, renderTarget } from '../core/target.ts';
import type { Checksum } from '../folder/checksum.ts';
import type { LoadedAlteration } from '../folder/load-alterations.ts';
import type { Transaction } from '../postgres/connection.ts';
import { recordChecksums, renameRows, upgradeHistoryTable } from '../postgres/history-table.ts';
import type { RunEvent } from './events.ts';
import { executePlan, type FinishedStep } from './execute-plan.ts';
import { withGrace } from './grace.ts';
import { refuseEdited, refuseLate, refuseNonTransactional, refuseReverting } from './integrity.ts';
import { loadScripts } from './load-scripts.ts';
import {
  defaultLockDeadlineMs,
  defaultLockTimeoutMs,
  newOrigin,
  type RunOptions,
  reporterOf,
} from './options.ts';
import { type DeployReport, reportVersion } from './reports.ts';
import { describeAlteration, describeRow, type Snapshot, withSnapshot } from './snapshot.ts';
import { type Turn, underLock } from './under-lock.ts';

export interface DeployOptions extends RunOptions {
  /** `latest`, `next` or a version. Default `latest`. */
  readonly target?: string;
  /** Tells what would be done and changes nothing. */
  readonly dryRun?: boolean;
  /** Refuses late alterations instead of deploying them. */
  readonly strictOrder?: boolean;
  /** Takes edited files as they are and records their checksums. */
  readonly allowEdited?: boolean;
  /** Applies all that is pending in one transaction: all of it or nothing. Refused where work outside a transaction is pending. */
  readonly atomic?: boolean;
}

/**
 * Applies what is pending within the target, each alteration in a transaction with its history row, under a lock.
 * With nothing to do no lock is taken and nothing is written. Throws an AlterationError; see its subclasses.
 */
export async function deploy(given: DeployOptions): Promise<DeployReport> {
  return withGrace(given, runDeploy);
}

async function runDeploy(options: DeployOptions): Promise<DeployReport> {
  const start = performance.now();
  const target = parseTarget(options.target ?? 'latest');
  const report = reporterOf(options);
  const outcome = await withSnapshot(`deploy ${renderTarget(target)}`, options, 'run', async (snapshot) => {
    report({ type: 'connected', database: snapshot.session.database });
    const decide = (current: Snapshot) =>
      decideDeploy(current, planDeploy(current.alterations, current.history, target), options);
    const decision = decide(snapshot);
    if (decision.plan.missing.length > 0) {
      report({ type: 'missing', alterations: decision.plan.missing.map(({ id, name }) => `${id}-${name}`) });
    }
    if (options.dryRun || isNothing(decision)) return { decision, snapshot, finished: [], deployId: null };
    return deployUnderLock(snapshot, decision, decide, options, report);
  });
  return {
    ...describeOutcome(outcome, options.dryRun ?? false),
    durationMs: Math.round(performance.now() - start),
  };
}

/** What is to be done, after integrity was looked at. */
interface Decision {
  readonly plan: DeployPlan;
  readonly accepted: readonly (Checksum & { readonly id: string; readonly file: string })[];
}

interface Outcome {
  readonly decision: Decision;
  readonly snapshot: Snapshot;
  readonly finished: readonly FinishedStep[];
  readonly deployId: string | null;
}

function decideDeploy(
  snapshot: Snapshot,
  plan: DeployPlan,
  { allowEdited, strictOrder }: DeployOptions,
): Decision {
  const accepted = allowEdited
    ? snapshot.edited.flatMap(({ alteration: { id, file }, checksum, ...known }) =>
        checksum ? [{ id, file, checksum, ...known }] : [],
      )
    : [];
  refuseEdited(snapshot.edited.filter(({ alteration: { id } }) => !accepted.some((one) => one.id === id)));
  refuseReverting(plan);
  if (strictOrder) refuseLate(plan);
  return { plan, accepted };
}

function isNothing({ plan, accepted }: Decision): boolean {
  return plan.steps.length === 0 && plan.renamings.length === 0 && accepted.length === 0;
}

async function deployUnderLock(
  snapshot: Snapshot,
  decision: Decision,
  decide: (snapshot: Snapshot) => Decision,
  options: DeployOptions,
  report: (event: RunEvent) => void,
): Promise<Outcome> {
  return underLock(snapshot, options, report, async (turn) => {
    // Another instance may have done it all while this one waited.
    const known = turn.hasWaited() ? await turn.onHistory(async (current) => decide(current)) : decision;
    if (isNothing(known)) return executeDecision(turn, decide, [], options, report);
    const pending = known.plan.steps.map(({ alteration }) => alteration);
    const loaded = await loadScripts(snapshot, pending, options);
    if (options.atomic) refuseNonTransactional(loaded);
    return executeDecision(turn, decide, loaded, options, report);
  });
}

async function executeDecision(
  { locked, onHistory }: Turn,
  decide: (snapshot: Snapshot) => Decision,
  loadedBefore: readonly LoadedAlteration[],
  options: DeployOptions,
  report: (event: RunEvent) => void,
): Promise<Outcome> {
  const { snapshot, decision } = await onHistory(async (current, transaction) => {
    const decided = decide(current);
    if (!isNothing(decided)) await prepareHistory(current, decided, transaction);
    return { snapshot: current, decision: decided };
  });
  if (isNothing(decision)) return { decision, snapshot, finished: [], deployId: null };
  reportPrepared(decision, report);
  const { session, folder, historyTable, history } = snapshot;
  const { plan } = decision;
  const steps = await loadSteps(plan, loadedBefore, snapshot, options);
  const { stop, abandon, lockTimeoutMs, lockDeadlineMs } = options;
  const late = plan.steps.filter((step) => step.late).length;
  report({ type: 'planned', direction: 'up', total: steps.length, late });
  const origin = newOrigin();
  const finished = await executePlan('up', steps, {
    session,
    locked,
    folder,
    historyTable,
    origin,
    report,
    stop,
    abandon,
    lockTimeoutMs: lockTimeoutMs ?? defaultLockTimeoutMs,
    lockDeadlineMs: lockDeadlineMs ?? defaultLockDeadlineMs,
    planned: history.map(({ id }) => id),
    isAtomic: options.atomic ?? false,
  });
  return { decision, snapshot, finished, deployId: finished.length > 0 ? origin.deployId : null };
}

/** Another instance may have rolled back while this one waited: what is pending now is loaded now. */
async function loadSteps(
  plan: DeployPlan,
  loadedBefore: readonly LoadedAlteration[],
  snapshot: Snapshot,
  options: DeployOptions,
) {
  const known = new Map(loadedBefore.map((loaded) => [loaded.alteration.id, loaded]));
  const unknown = plan.steps.map(({ alteration }) => alteration).filter(({ id }) => !known.has(id));
  for (const loaded of await loadScripts(snapshot, unknown, options)) known.set(loaded.alteration.id, loaded);
  return plan.steps.flatMap((step) => {
    const loaded = known.get(step.alteration.id);
    return loaded ? [{ ...step, loaded }] : [];
  });
}

async function prepareHistory(
  { historyTable, tableState }: Snapshot,
  { plan, accepted }: Decision,
  transaction: Transaction,
): Promise<void> {
  await upgradeHistoryTable(transaction, historyTable, tableState);
  await renameRows(transaction, historyTable, plan.renamings);
  await recordChecksums(transaction, historyTable, accepted);
}

function reportPrepared({ plan, accepted }: Decision, report: (event: RunEvent) => void): void {
  for (const { alteration, from } of plan.renamings) {
    report({ type: 'renamed', alteration: alteration.file, from: from.version, to: alteration.version });
  }
  for (const { file } of accepted) report({ type: 'checksum-accepted', alteration: file });
}

function describeOutcome(
  { decision: { plan, accepted }, snapshot, finished, deployId }: Outcome,
  dryRun: boolean,
): Omit<DeployReport, 'durationMs'> {
  const { session, alterations, history } = snapshot;
  const versionBefore = currentVersion(alterations, history) ?? null;
  const done = new Set(
    [
      ...history.filter(({ state }) => state !== 'started'),
      ...finished.map(({ alteration }) => alteration),
    ].map(({ id }) => id),
  );
  const planned = dryRun ? plan.steps : [];
  const after = new Set([...done, ...planned.map(({ alteration }) => alteration.id)]);
  return {
    schemaVersion: reportVersion,
    command: 'deploy',
    dryRun,
    database: session.database,
    target: renderTarget(plan.target),
    versionBefore,
    version: versionAfter(snapshot, finished) ?? null,
    planned: planned.map(({ alteration, late }) => ({ ...describeAlteration(alteration), late })),
    applied: finished.map(({ alteration, late, durationMs }) => ({
      ...describeAlteration(alteration),
      late,
      durationMs,
    })),
    renamed: plan.renamings.map(describeRenaming),
    accepted: accepted.map(({ file }) => file),
    missing: plan.missing.map(describeRow),
    pending: alterations.filter(({ id }) => !after.has(id)).length,
    deployId,
  };
}

function versionAfter({ alterations, history }: Snapshot, finished: readonly FinishedStep[]) {
  const applied = new Set(finished.map(({ alteration }) => alteration.id));
  const rows = alterations
    .filter(({ id }) => applied.has(id))
    .map((alteration) => ({ ...alteration, state: 'applied' as const }));
  return currentVersion(alterations, [...history, ...rows]);
}

function describeRenaming({ alteration: { id, file, version }, from }: Renaming) {
  return { id, file, from: from.version, to: version };
}
