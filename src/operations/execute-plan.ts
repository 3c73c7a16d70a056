import type { Alteration } from '../core/alteration.ts';
import {
  AlterationError,
  AlterationFailedError,
  AlterationHalfDoneError,
  SessionLostError,
  StoppedError,
} from '../core/errors.ts';
import { now } from '../now.ts';
import type { LockedSession } from '../postgres/locked-session.ts';
import { applyAlteration } from './apply-alteration.ts';
import { TakenOver } from './confirm-step.ts';
import { describeFailure } from './describe-failure.ts';
import type { RunEvent } from './events.ts';
import { lockTimeoutOf } from './lock-timeout.ts';
import { lockReleased, resetSession } from './reset-session.ts';
import { retryOnLocks } from './retry-locks.ts';
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
export interface PlanContext extends Omit<RunContext, 'patience' | 'basis' | 'isShared'> {
  /** All steps in one transaction: all of them or none. Default: each in its own. */
  readonly isAtomic?: boolean;
  readonly lockTimeoutMs: number;
  readonly lockDeadlineMs: number;
  /** Ids of the rows that the plan was made on. */
  readonly planned: readonly string[];
}

/** How far a run has come. */
interface Course {
  finished: FinishedStep[];
  /** Number of the steps that are behind it, done here or by others. */
  passed: number;
}

type RunnablePlan = PlanContext & Pick<RunContext, 'isShared'>;

/** Runs the steps one after the other. An error of its own is told how far the run came. */
export async function executePlan(
  direction: 'up' | 'down',
  steps: readonly ExecutableStep[],
  context: PlanContext,
): Promise<readonly FinishedStep[]> {
  const course: Course = { finished: [], passed: 0 };
  const run = context.isAtomic ? executeTogether : executeEach;
  try {
    await withBlockerWatch(context.session, context.report, (watch) =>
      run(direction, steps, { ...context, isShared: false }, watch, course),
    );
    return course.finished;
  } catch (raised) {
    const error = describeStop(raised, context);
    const remaining = steps.slice(course.passed).map(({ loaded }) => loaded.alteration.file);
    if (error instanceof AlterationError) {
      const done = course.finished.map(({ alteration }) => alteration.file);
      error.progress = { direction, done, remaining };
    }
    throw error;
  }
}

async function executeEach(
  direction: 'up' | 'down',
  steps: readonly ExecutableStep[],
  context: RunnablePlan,
  watch: BlockerWatch,
  course: Course,
): Promise<void> {
  for (const [index, step] of steps.entries()) {
    throwIfStopped(context, course.finished.at(-1));
    const at = { index: index + 1, total: steps.length };
    const basis = () =>
      new Set([...context.planned, ...steps.slice(0, index).map(({ loaded }) => loaded.alteration.id)]);
    const done = await executeStep(direction, step, at, { ...context, basis }, watch);
    course.passed = index + 1;
    if (!done) continue;
    course.finished.push(done);
    // A run that is to end at once ends its session too.
    if (!context.abandon?.aborted) await resetSession(context, done.alteration.file);
  }
}

/** The same in one transaction. When others hold locks that a step needs, all of it is made again. */
async function executeTogether(
  direction: 'up' | 'down',
  steps: readonly ExecutableStep[],
  context: RunnablePlan,
  watch: BlockerWatch,
  course: Course,
): Promise<void> {
  const { locked, session, folder, abandon, lockTimeoutMs, lockDeadlineMs: deadlineMs } = context;
  const last = steps.at(-1)?.loaded.alteration.file ?? '';
  const patience = { lockTimeoutMs, deadlineMs, lastBlockers: watch.lastBlockers };
  const basis = () => new Set(context.planned);
  await retryOnLocks(last, { ...context, patience, basis }, async () => {
    const within: Course = { finished: [], passed: 0 };
    const held: RunEvent[] = []; // nothing is finished before all is
    const report = (event: RunEvent) => {
      if (event.type === 'finished') held.push(event);
      else context.report(event);
    };
    let isCommitSent = false;
    const work = (shared: LockedSession) =>
      executeEach(direction, steps, { ...context, locked: shared, isShared: true, report }, watch, within);
    const onEnd = (lockHeld: boolean) => {
      if (!lockHeld) throw lockReleased('One of the alterations', last, 'All was rolled back.');
      isCommitSent = true;
    };
    try {
      await locked.together(work, { onEnd });
    } catch (error) {
      if (error instanceof AlterationError) throw error;
      const setting = { alteration: last, phase: direction, stage: 'commit', transaction: 'inside' } as const;
      throw describeFailure(error, { ...setting, isShared: true, isCommitSent, folder, session, abandon });
    }
    Object.assign(course, within);
    for (const event of held) context.report(event);
  });
  await resetSession(context, last);
}

/** An alteration that was cut off because the run was to stop has not failed. */
function describeStop(raised: unknown, { abandon, isAtomic }: PlanContext): unknown {
  const reason = abandon?.reason instanceof StoppedError ? abandon.reason : raised;
  if (!(reason instanceof StoppedError)) return raised;
  if (raised instanceof SessionLostError) return new StoppedError(reason.signal, raised.hint); // may be committed
  if (!(raised instanceof AlterationHalfDoneError)) {
    return new StoppedError(
      reason.signal,
      isAtomic
        ? 'All was rolled back: nothing of this run stays. Run it again.'
        : 'What was done is recorded. Run it again: it goes on from there.',
    );
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
  context: RunnablePlan & Pick<RunContext, 'basis'>,
  watch: BlockerWatch,
): Promise<FinishedStep | undefined> {
  const { alteration } = step.loaded;
  const { locked, lockDeadlineMs: deadlineMs, report } = context;
  const told = { direction, alteration: alteration.file, ...at };
  report({ type: 'started', ...told, late: step.late });
  const start = now();
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
  const durationMs = Math.round(now() - start);
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
