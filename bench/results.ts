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

/** Everything that was measured in one run, and on what. */
export interface Results {
  readonly schemaVersion: 1;
  /** `2025-01-31` */
  readonly date: string;
  readonly machine: {
    readonly cpu: string;
    readonly cores: number;
    readonly memoryGb: number;
    readonly os: string;
  };
  readonly node: string;
  readonly server: ServerFacts;
  readonly rounds: number;
  /** Statements of an alteration, on average. */
  readonly statements: number;
  readonly network: NetworkFacts;
  /** Processes at once. */
  readonly crowd: number;
  readonly contestants: readonly ContestantFacts[];
  readonly trials: readonly TrialResult[];
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
}
