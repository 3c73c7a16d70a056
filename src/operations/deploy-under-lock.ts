import type { DeployPlan } from '../core/plan.ts';
import type { LoadedAlteration } from '../folder/load-alterations.ts';
import type { Transaction } from '../postgres/connection.ts';
import { recordChecksums, renameRows, upgradeHistoryTable } from '../postgres/history-table.ts';
import { type Decision, type DeployOptions, isNothing, type Outcome } from './deploy.ts';
import type { RunEvent } from './events.ts';
import { executePlan } from './execute-plan.ts';
import { refuseNonTransactional, refusePooler } from './integrity.ts';
import { loadScripts } from './load-scripts.ts';
import { defaultLockDeadlineMs, defaultLockTimeoutMs, newOrigin } from './options.ts';
import type { Snapshot } from './snapshot.ts';
import { type Turn, underLock } from './under-lock.ts';

/** Does what has been decided when it is this instance's turn, as far as it is to be done then. */
export async function deployUnderLock(
  snapshot: Snapshot,
  decision: Decision,
  decide: (snapshot: Snapshot) => Decision,
  options: DeployOptions,
  report: (event: RunEvent) => void,
): Promise<Outcome> {
  if (options.atomic) refusePooler(snapshot.session);
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
