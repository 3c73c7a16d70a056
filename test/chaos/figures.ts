import type { Kill } from './attack.ts';
import { type FinishedRunner, outcomeOf } from './outcomes.ts';

/** What a run of the test has seen, counted. */
export interface Figures {
  readonly countKill: (kill: Kill) => void;
  readonly countRunner: (runner: FinishedRunner) => void;
  readonly countRound: (direction: 'up' | 'down', alterations: number) => void;
  readonly countHistory: () => void;
  /** How long something of the runners was still on the server after their end. */
  readonly countSettling: (ms: number) => void;
  readonly kills: () => number;
  readonly render: () => string;
}

export function createFigures(): Figures {
  const start = performance.now();
  const kinds = new Map<string, number>();
  const moments = new Map<string, number>();
  const outcomes = new Map<string, number>();
  const ways = new Map<string, number>();
  const counts = { kills: 0, histories: 0, rounds: 0, rollbacks: 0, alterations: 0, settlingMs: 0 };
  const countKill = ({ kind, moment }: Kill) => {
    counts.kills += 1;
    add(kinds, kind);
    add(moments, moment);
  };
  return {
    countKill,
    countRunner: ({ plan, result, kill }) => {
      add(ways, plan.way);
      add(outcomes, outcomeOf(result));
      if (kill) countKill(kill);
    },
    countRound: (direction, alterations) => {
      counts.rounds += 1;
      counts.rollbacks += direction === 'down' ? 1 : 0;
      counts.alterations += alterations;
    },
    countHistory: () => {
      counts.histories += 1;
    },
    countSettling: (ms) => {
      counts.settlingMs = Math.max(counts.settlingMs, ms);
    },
    kills: () => counts.kills,
    render: () =>
      [
        `${counts.kills} kills in ${counts.rounds} rounds (${counts.rollbacks} of rollbacks) of ${counts.histories} histories, ${seconds(performance.now() - start)}`,
        `kills         ${renderCounts(kinds)}`,
        `at            ${renderCounts(moments)}`,
        `runners       ${renderCounts(ways)}`,
        `ended with    ${renderCounts(outcomes)}`,
        `left behind   for ${seconds(counts.settlingMs)} at most`,
      ].join('\n'),
  };
}

function add(counts: Map<string, number>, word: string): void {
  counts.set(word, (counts.get(word) ?? 0) + 1);
}

function renderCounts(counts: ReadonlyMap<string, number>): string {
  return [...counts]
    .sort(([, one], [, other]) => other - one)
    .map(([word, count]) => `${word} ${count}`)
    .join(' · ');
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
