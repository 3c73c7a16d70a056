import type { Alteration } from '../core/alteration.ts';
import { AlterationError, AlterationFailedError, StoppedError } from '../core/errors.ts';
import { applyAlteration } from './apply-alteration.ts';
import { revertAlteration } from './revert-alteration.ts';
import type { ExecutableStep, RunContext } from './run-context.ts';

/** A step that is done. */
export interface FinishedStep {
  readonly alteration: Alteration;
  readonly late: boolean;
  readonly durationMs: number;
}

/** Runs the steps one after the other. An error of its own is told how far the run came. */
export async function executePlan(
  direction: 'up' | 'down',
  steps: readonly ExecutableStep[],
  context: RunContext,
): Promise<readonly FinishedStep[]> {
  const finished: FinishedStep[] = [];
  try {
    for (const [index, step] of steps.entries()) {
      throwIfStopped(context, finished.at(-1));
      const at = { index: index + 1, total: steps.length };
      finished.push(await executeStep(direction, step, at, context));
    }
    return finished;
  } catch (raised) {
    const error = context.abandon?.reason instanceof StoppedError ? context.abandon.reason : raised;
    const remaining = steps.slice(finished.length).map(({ loaded }) => loaded.alteration.file);
    if (error instanceof AlterationError) {
      error.progress = { direction, done: finished.map(({ alteration }) => alteration.file), remaining };
    }
    throw error;
  }
}

async function executeStep(
  direction: 'up' | 'down',
  step: ExecutableStep,
  at: { readonly index: number; readonly total: number },
  context: RunContext,
): Promise<FinishedStep> {
  const { alteration } = step.loaded;
  const told = { direction, alteration: alteration.file, ...at };
  context.report({ type: 'started', ...told, late: step.late });
  const start = performance.now();
  if (direction === 'up') await applyAlteration(step, context);
  else await revertAlteration(step, context);
  const durationMs = Math.round(performance.now() - start);
  context.report({ type: 'finished', ...told, durationMs });
  return { alteration, late: step.late, durationMs };
}

function throwIfStopped({ stop, abandon }: RunContext, last: FinishedStep | undefined): void {
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
