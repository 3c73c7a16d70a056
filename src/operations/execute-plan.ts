import type { Alteration } from '../core/alteration.ts';
import { AlterationError, StoppedError } from '../core/errors.ts';
import type { HistoryRow } from '../core/history.ts';
import type { LoadedAlteration } from '../folder/load-alterations.ts';
import type { HistoryTable, Origin } from '../postgres/history-table.ts';
import type { Session } from '../postgres/session.ts';
import { applyAlteration } from './apply-alteration.ts';
import type { RunEvent } from './events.ts';
import { revertAlteration } from './revert-alteration.ts';

/** What the steps of a run share. */
export interface RunContext {
  readonly session: Session;
  readonly folder: string;
  readonly historyTable: HistoryTable;
  readonly origin: Origin;
  readonly report: (event: RunEvent) => void;
  readonly stop: AbortSignal | undefined;
  readonly abandon: AbortSignal | undefined;
}

/** An alteration to run, loaded. */
export interface ExecutableStep {
  readonly loaded: LoadedAlteration;
  readonly late: boolean;
  readonly started?: HistoryRow;
}

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
      throwIfStopped(context.stop);
      const at = { index: index + 1, total: steps.length };
      finished.push(await executeStep(direction, step, at, context));
    }
    return finished;
  } catch (error) {
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

function throwIfStopped(stop: AbortSignal | undefined): void {
  if (!stop?.aborted) return;
  throw stop.reason instanceof Error ? stop.reason : new StoppedError('a request to stop');
}
