import { setTimeout as pause } from 'node:timers/promises';
import { DatabaseUnreachableError, SessionLostError } from '../core/errors.ts';
import { currentVersion, planDeploy } from '../core/plan.ts';
import { parseTarget, renderTarget, type Target } from '../core/target.ts';
import { now } from '../now.ts';
import type { DatabaseOptions } from './options.ts';
import { type CheckReport, reportVersion } from './reports.ts';
import { describeAlteration, describeRow, type Snapshot, withSnapshot } from './snapshot.ts';

export interface CheckOptions extends DatabaseOptions {
  /** `latest`, `next` or a version. Default `latest`. */
  readonly target?: string;
  /** Late alterations are a breach of integrity, not merely pending. */
  readonly strictOrder?: boolean;
  /** Wait this long, in milliseconds, for the database to be reachable and up to date. Default 0. */
  readonly waitMs?: number;
  /** Called before each pause of a wait, with the reason for it. */
  readonly onWait?: (wait: { readonly reason: string; readonly waitedMs: number }) => void;
}

const pauseMs = 1_000;

/** Whether the database is up to date with the target. Takes no lock, writes nothing. */
export async function check(options: CheckOptions): Promise<CheckReport> {
  const target = parseTarget(options.target ?? 'latest');
  const start = now();
  const waitMs = options.waitMs ?? 0;
  for (;;) {
    const attempt = await attemptCheck(options, target);
    const waitedMs = now() - start;
    const settled = 'report' in attempt && attempt.report.result !== 'pending';
    if (settled || waitedMs >= waitMs) {
      if ('report' in attempt) return attempt.report;
      throw attempt.error;
    }
    options.onWait?.({ reason: describeWait(attempt), waitedMs });
    await pause(
      Math.min(pauseMs, waitMs - waitedMs),
      undefined,
      options.stop ? { signal: options.stop } : {},
    ).catch(() => {
      throw options.stop?.reason;
    });
  }
}

type Attempt = { readonly report: CheckReport } | { readonly error: Error };

/** A database that is not there yet is what a wait is for; any other failure is thrown. */
async function attemptCheck(options: CheckOptions, target: Target): Promise<Attempt> {
  try {
    const connectWaitMs = options.waitMs ? 0 : options.connectWaitMs; // one wait, not one within the other
    const given = connectWaitMs === undefined ? options : { ...options, connectWaitMs };
    const report = await withSnapshot(`check ${renderTarget(target)}`, given, 'read', async (snapshot) =>
      describeCheck(snapshot, target, options.strictOrder ?? false),
    );
    return { report };
  } catch (error) {
    if (error instanceof DatabaseUnreachableError || error instanceof SessionLostError) return { error };
    throw error;
  }
}

function describeCheck(snapshot: Snapshot, target: Target, strictOrder: boolean): CheckReport {
  const { session, alterations, history } = snapshot;
  const plan = planDeploy(alterations, history, target);
  const late = plan.steps.some((step) => step.late);
  const broken = snapshot.edited.length > 0 || plan.reverting.length > 0 || (strictOrder && late);
  return {
    schemaVersion: reportVersion,
    command: 'check',
    database: session.database,
    target: renderTarget(target),
    version: currentVersion(alterations, history) ?? null,
    result: broken ? 'integrity' : plan.steps.length > 0 ? 'pending' : 'up-to-date',
    pending: plan.steps.map((step) => ({ ...describeAlteration(step.alteration), late: step.late })),
    edited: snapshot.edited.map(({ alteration: { file } }) => file),
    missing: plan.missing.map(describeRow),
    reverting: plan.reverting.map(describeRow),
  };
}

function describeWait(attempt: Attempt): string {
  if ('error' in attempt) return attempt.error.message;
  const { length } = attempt.report.pending;
  return `${length} ${length === 1 ? 'alteration is' : 'alterations are'} pending.`;
}
