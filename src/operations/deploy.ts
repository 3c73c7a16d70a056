import type { Renaming } from '../core/history.ts';
import { currentVersion, type DeployPlan, planDeploy } from '../core/plan.ts';
import { parseTarget, renderTarget } from '../core/target.ts';
import type { Checksum } from '../folder/checksum.ts';
import { now } from '../now.ts';
import type { FinishedStep } from './execute-plan.ts';
import { withGrace } from './grace.ts';
import { refuseEdited, refuseLate, refuseReverting } from './integrity.ts';
import { type RunOptions, reporterOf } from './options.ts';
import { type DeployReport, reportVersion } from './reports.ts';
import { describeAlteration, describeRow, type Snapshot, withSnapshot } from './snapshot.ts';

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
  const start = now();
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
    const { deployUnderLock } = await import('./deploy-under-lock.ts'); // most deploys have nothing to do
    return deployUnderLock(snapshot, decision, decide, options, report);
  });
  return {
    ...describeOutcome(outcome, options.dryRun ?? false),
    durationMs: Math.round(now() - start),
  };
}

/** What is to be done, after integrity was looked at. */
export interface Decision {
  readonly plan: DeployPlan;
  readonly accepted: readonly (Checksum & { readonly id: string; readonly file: string })[];
}

export interface Outcome {
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

export function isNothing({ plan, accepted }: Decision): boolean {
  return plan.steps.length === 0 && plan.renamings.length === 0 && accepted.length === 0;
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
