import type { Traffic } from './delay-proxy.ts';
import type { ProcessRun } from './measure.ts';
import type { ServerFacts } from './server.ts';

export const measures = [
  'version',
  'deploy',
  'slow-deploy',
  'at-once',
  'no-op',
  'slow-no-op',
  'list',
] as const;

export type Measure = (typeof measures)[number];

/** Something to measure of each contestant. */
export interface Trial {
  readonly measure: Measure;
  /** Alterations. */
  readonly size: number;
  readonly rounds: number;
}

/** One measurement. */
export interface Sample extends Pick<ProcessRun, 'ms' | 'peakKb'> {
  /** What went over the slow network. */
  readonly traffic?: Traffic;
  /** Of several processes at once: what the same took one process alone, in this round. */
  readonly aloneMs?: number;
}

export interface Outcome {
  readonly contestant: string;
  /** One a round, in order; none that was not verified. */
  readonly samples: readonly Sample[];
  /** Why it was not measured any further. */
  readonly failure?: string;
}

export interface TrialResult extends Trial {
  readonly outcomes: readonly Outcome[];
}

/** One run of the benchmark, and what it was measured on. */
export interface Session {
  /** When it began, in UTC: `2025-01-31T12:00:00.000Z`. */
  readonly began: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryGb: number;
    readonly os: string;
  };
  readonly node: string;
  /** What tells how much memory a process had. */
  readonly meter: 'GNU time' | 'none';
  readonly server: ServerFacts;
  readonly rounds: number;
  /** Statements of an alteration, on average. */
  readonly statements: number;
  readonly network: NetworkFacts;
  /** Processes at once. */
  readonly crowd: number;
  readonly contestants: readonly ContestantFacts[];
}

/** What a trial gave, in the session that began then. */
export interface MeasuredTrial extends TrialResult {
  readonly session: string;
}

/** The newest of what was measured: each trial in one run, not all of them in the same. */
export interface Results {
  readonly schemaVersion: 2;
  readonly sessions: readonly Session[];
  readonly trials: readonly MeasuredTrial[];
}

export const noResults: Results = { schemaVersion: 2, sessions: [], trials: [] };

/** The results with this trial in the place of an older one of the same; what no trial is of any more goes. */
export function addTrial({ sessions, trials }: Results, session: Session, trial: TrialResult): Results {
  const measured = { ...trial, session: session.began };
  const others = trials.filter((other) => other.measure !== trial.measure || other.size !== trial.size);
  const all = [...others, measured].sort(
    (left, right) =>
      measures.indexOf(left.measure) - measures.indexOf(right.measure) || left.size - right.size,
  );
  const older = sessions.filter(
    ({ began }) => began !== session.began && all.some((each) => each.session === began),
  );
  return { schemaVersion: 2, sessions: [...older, session], trials: all };
}

export interface NetworkFacts {
  /** In each direction. */
  readonly delayMs: number;
  /** Measured: a query that does nothing, at the server's own address and through the proxy. */
  readonly directRoundTripMs: number;
  readonly roundTripMs: number;
}

export interface ContestantFacts {
  readonly name: string;
  readonly kind: 'ours' | 'peer' | 'floor';
  readonly version?: string;
  readonly note: string;
  readonly transactions: string;
  readonly lock: string;
  /** What its deploys are measured against, where it is not what the others' are. */
  readonly floor?: string;
}
