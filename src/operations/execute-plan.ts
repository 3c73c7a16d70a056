import type { Alteration } from '../core/alteration.ts';
import {
  AlterationError,
  AlterationFailedError,
  AlterationHalfDoneError,
  SessionLostError,
  StoppedError,
} from '../core/errors.ts';
import { applyAlteration } from './apply-alteration.ts';
import { TakenOver } from './confirm-step.ts';
import { lockTimeoutOf } from './lock-timeout.ts';
import { resetSession } from './reset-session.ts';
import { revertAlteration } from './revert-alteration.ts';
import type { ExecutableStep, RunContext } from './run-context.ts';
import { type BlockerWatch, withBlockerWatch } from './watch-blockers.ts';

/** A step that is done. */
export interface FinishedStep {
  readonly alteration: Alteration;
  readonly late: boolean;
  readonly durationMs: number;
}

/** What a run brings along; the rest its steps get on the way. */
export interface PlanContext extends Omit<RunContext, 'patience' | 'basis'> {
  readonly lockTimeoutMs: number;
  readonly lockDeadlineMs: number;
  /** Ids of the rows that the plan was made on. */
  readonly planned: readonly string[];
}

/** Runs the steps one after the other. An error of its own is told how far the run came. */
export async function executePlan(
  direction: 'up' | 'down',
  steps: readonly ExecutableStep[],
  context: PlanContext,
): Promise<readonly FinishedStep[]> {
  const finished: FinishedStep[] = [];
  let passed = 0;
  try {
    await withBlockerWatch(context.session, context.report, async (watch) => {
      for (const [index, step] of steps.entries()) {
        throwIfStopped(context, finished.at(-1));
        const at = { index: index + 1, total: steps.length };
        const basis = () =>
          new Set([...context.planned, ...steps.slice(0, index).map(({ loaded }) => loaded.alteration.id)]);
        const done = await executeStep(direction, step, at, { ...context, basis }, watch);
        passed = index + 1;
        if (!done) continue;
        finished.push(done);
        // A run that is to end at once ends its session too.
        if (!context.abandon?.aborted) await resetSession(context, done.alteration.file);
      }
    });
    return finished;
  } catch (raised) {
    const error = describeStop(raised, context);
    const remaining = steps.slice(passed).map(({ loaded }) => loaded.alteration.file);
    if (error instanceof AlterationError) {
      error.progress = { direction, done: finished.map(({ alteration }) => alteration.file), remaining };
    }
    throw error;
  }
}

/** An alteration that was cut off because the run was to stop has not failed. */
function describeStop(raised: unknown, { abandon }: PlanContext): unknown {
  const reason = abandon?.reason instanceof StoppedError ? abandon.reason : raised;
  if (!(reason instanceof StoppedError)) return raised;
  if (raised instanceof SessionLostError) return new StoppedError(reason.signal, raised.hint); // may be committed
  if (!(raised instanceof AlterationHalfDoneError)) {
    return new StoppedError(reason.signal, 'What was done is recorded. Run it again: it goes on from there.');
  }
  const { alteration, phase, statements } = raised;
  const done = statements
    ? `${statements.done} of its ${statements.total} statements are done and stay; run it again, and it goes on with the next.`
    : `${phase} runs again from its start the next time.`;
  return new StoppedError(reason.signal, `"${alteration}" was interrupted: ${done}`);
}

async function executeStep(
  direction: 'up' | 'down',
  step: ExecutableStep,
  at: { readonly index: number; readonly total: number },
  context: PlanContext & Pick<RunContext, 'basis'>,
  watch: BlockerWatch,
): Promise<FinishedStep | undefined> {
  const { alteration } = step.loaded;
  const { locked, lockDeadlineMs: deadlineMs, report } = context;
  const told = { direction, alteration: alteration.file, ...at };
  report({ type: 'started', ...told, late: step.late });
  const start = performance.now();
  const lockTimeoutMs = lockTimeoutOf(step.loaded, direction) ?? context.lockTimeoutMs;
  const { lastBlockers } = watch;
  const own = { ...context, patience: { lockTimeoutMs, deadlineMs, lastBlockers } };
  const watched = { alteration: alteration.file, lockTimeoutMs, backendPid: locked.backendPid };
  const run = direction === 'up' ? applyAlteration : revertAlteration;
  try {
    await watch.during(watched, () => run(step, own));
  } catch (error) {
    if (!(error instanceof TakenOver)) throw error;
    report({ type: 'taken-over', alteration: alteration.file });
    return undefined;
  }
  const durationMs = Math.round(performance.now() - start);
  report({ type: 'finished', ...told, durationMs });
  return { alteration, late: step.late, durationMs };
}

function throwIfStopped({ stop, abandon }: PlanContext, last: FinishedStep | undefined): void {
  if (stop?.aborted) throw stop.reason instanceof Error ? stop.reason : new StoppedError('a request to stop');
  if (!abandon?.aborted || !last) return;
  const { file } = last.alteration;
  const reason = abandon.reason instanceof Error ? abandon.reason.message : String(abandon.reason);
  throw new AlterationFailedError(`"${file}" left something running that failed after its end: ${reason}.`, {
    alteration: file,
    phase: 'up',
    hint: 'It is applied. Let its functions await all that they begin.',
    cause: abandon.reason,
  });
}
