// What is done to a history's deploys, decided before the first of them starts.

import type { ChaosHistory } from './histories.ts';
import { createRandom, type Random } from './random.ts';

export type KillKind = 'SIGKILL' | 'SIGTERM' | 'SIGTERM twice' | 'SIGINT' | 'terminate' | 'cut';

/** When: some time after the start, or as the runner tells its n-th event. */
export type Moment =
  | { readonly at: 'instant'; readonly ms: number }
  | { readonly at: 'boundary'; readonly nth: number; readonly delayMs: number };

export interface Attack {
  readonly kind: KillKind;
  readonly moment: Moment;
  /** Of `SIGTERM twice`: how long after the first. */
  readonly againMs: number;
  /** Of `terminate`: which of the runner's sessions, where it has several. */
  readonly session: number;
}

/** How a runner gets to the server; `slow` is a network on which an answer is long under way. */
export type Way = 'direct' | 'slow' | 'pooled';

export interface RunnerPlan {
  /** 1-based; its role on the server is named after it. */
  readonly number: number;
  readonly way: Way;
  readonly startMs: number;
  readonly lockWait: string;
  readonly grace: string;
  readonly attack: Attack | undefined;
}

/** A wait for the lock that no wave is long enough for. */
export const patient = '30s';

/** Runners at once. */
export interface Wave {
  readonly runners: readonly RunnerPlan[];
  /** When the server is restarted under them, in milliseconds. */
  readonly restartMs: number | undefined;
  /** Whether what makes alterations fail on purpose is mended before. */
  readonly mended: boolean;
}

/** Waves against one target, after which a deploy or a rollback that nobody disturbs must come to its end. */
export interface Round {
  readonly direction: 'up' | 'down';
  /** How many releases the folder holds. */
  readonly releases: number;
  readonly waves: readonly Wave[];
  /** The way of the last run. */
  readonly lastWay: Way;
}

export type Ways = Readonly<Partial<Record<Way, number>>>;

/** A round for every release; sometimes all is then rolled back, and deployed again. */
export function planRounds(seed: number, { number, releases }: ChaosHistory, ways: Ways): readonly Round[] {
  const random = createRandom('rounds', seed, number);
  const up = releases.map((_, index) => planRound('up', index + 1, random, ways));
  const again = [
    planRound('down', releases.length, random, ways),
    planRound('up', releases.length, random, ways),
  ];
  return random.chance(0.4) ? [...up, ...again] : up;
}

function planRound(direction: Round['direction'], releases: number, random: Random, ways: Ways): Round {
  const waves = Array.from({ length: random.between(2, 4) }, (_, index) => planWave(index, random, ways));
  return { direction, releases, waves, lastWay: pickWay(random, ways) };
}

function planWave(index: number, random: Random, ways: Ways): Wave {
  const runners = Array.from({ length: random.between(1, 4) }, (_, each) =>
    planRunner(each + 1, random, ways),
  );
  const [restarts, restartMs] = [random.chance(0.12), random.between(150, 1_200)];
  const mended = random.chance(0.5) && index > 0;
  return { runners, restartMs: restarts ? restartMs : undefined, mended };
}

function planRunner(number: number, random: Random, ways: Ways): RunnerPlan {
  const way = pickWay(random, ways);
  return {
    number,
    way,
    startMs: number === 1 ? 0 : random.between(0, 150),
    lockWait: random.chance(0.1) ? '300ms' : patient,
    grace: random.pick(['10s', '10s', '0s', '100ms', '2s']),
    attack: random.chance(0.9) ? planAttack(way, random) : undefined,
  };
}

function planAttack(way: Way, random: Random): Attack {
  const kind = random.weigh<KillKind>({
    SIGKILL: 4,
    SIGTERM: 2,
    'SIGTERM twice': 2,
    SIGINT: 1,
    terminate: 4,
    cut: way === 'slow' ? 3 : 0,
  });
  return { kind, moment: planMoment(random), againMs: random.between(0, 150), session: random.between(0, 2) };
}

function planMoment(random: Random): Moment {
  const [boundary, nth, delayed, delayMs, ms] = [
    random.chance(0.65),
    random.between(1, 16),
    random.chance(0.4),
    random.between(1, 40),
    random.between(20, 1_500),
  ];
  return boundary ? { at: 'boundary', nth, delayMs: delayed ? delayMs : 0 } : { at: 'instant', ms };
}

function pickWay(random: Random, ways: Ways): Way {
  return random.weigh<Way>({ direct: 0, slow: 0, pooled: 0, ...ways });
}
