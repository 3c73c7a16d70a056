// Measures: in each round every contestant once, in an order that turns, so that whatever else the machine does in the
// meantime meets all of them.

import { tmpdir } from 'node:os';
import type { Action, Contestant, Place } from './contestants/contestant.ts';
import type { DelayProxy } from './delay-proxy.ts';
import type { Measure, Outcome, Sample, Trial, TrialResult } from './results.ts';
import { ContestantFailure, type Stage } from './stage.ts';

export interface Arena {
  readonly stage: Stage;
  /** Between the contestants and the server, where a measure asks for it. */
  readonly proxy: DelayProxy;
  /** Processes at once. */
  readonly crowd: number;
  /** Told what is measured next, as a phrase. */
  readonly onProgress: (message: string) => void;
}

/** Each trial with those who take part in it; who fails is not asked again in that trial. */
export async function* playTrials(
  trials: readonly Trial[],
  contestants: readonly Contestant[],
  arena: Arena,
): AsyncGenerator<TrialResult> {
  for (const trial of trials) {
    const players = contestants.filter((contestant) => takesPart(contestant, trial));
    yield { ...trial, outcomes: await playTrial(trial, players, arena) };
  }
}

function takesPart({ lock, actions }: Contestant, { measure }: Trial): boolean {
  // Without a lock it is a matter of luck who gets through.
  return actions[actionOf[measure]] !== undefined && (measure !== 'at-once' || lock !== 'none');
}

const actionOf: Readonly<Record<Measure, Action>> = {
  version: 'version',
  deploy: 'deploy',
  'slow-deploy': 'deploy',
  'at-once': 'deploy',
  'no-op': 'no-op',
  'slow-no-op': 'no-op',
  list: 'list',
};

async function playTrial(
  trial: Trial,
  players: readonly Contestant[],
  arena: Arena,
): Promise<readonly Outcome[]> {
  const { measure, size, rounds } = trial;
  const samples = new Map<Contestant, Sample[]>(players.map((player) => [player, []]));
  const failures = new Map<Contestant, string>();
  const play = async (player: Contestant, work: () => Promise<void>) => {
    if (failures.has(player)) return;
    try {
      await work();
    } catch (error) {
      if (!(error instanceof ContestantFailure)) throw error;
      failures.set(player, error.message);
    }
  };
  const { prepare, sample, conclude } = games[measure];
  for (const player of players) await play(player, () => prepare(player, size, arena));
  for (let round = 0; round < rounds; round += 1) {
    arena.onProgress(`${measure} of ${size}, round ${round + 1} of ${rounds}`);
    for (const player of turn(players, round)) {
      await play(player, async () => {
        samples.get(player)?.push(await sample(player, size, arena));
      });
    }
  }
  for (const player of players) await play(player, () => conclude(player, size, arena));
  return players.map((player) => {
    const failure = failures.get(player);
    const kept = samples.get(player) ?? [];
    return { contestant: player.name, samples: kept, ...(failure === undefined ? {} : { failure }) };
  });
}

function turn<T>(items: readonly T[], by: number): readonly T[] {
  const at = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

type Step<T> = (contestant: Contestant, size: number, arena: Arena) => Promise<T>;
type Sampler = Step<Sample>;
type Route = 'direct' | 'slow';

/** How a measure is taken: what comes before the rounds, once in each of them, and after them. */
interface Game {
  readonly prepare: Step<void>;
  readonly sample: Sampler;
  readonly conclude: Step<void>;
}

const nothing: Step<void> = async () => undefined;

const sampleVersion: Sampler = (contestant, _, arena) =>
  runOn('direct', contestant, 'version', { folder: tmpdir(), url: '' }, arena);

const games: Readonly<Record<Measure, Game>> = {
  version: {
    // The first time it is read from a cold disk.
    prepare: async (...given) => void (await sampleVersion(...given)),
    sample: sampleVersion,
    conclude: nothing,
  },
  deploy: playDeploy(sampleDeploy('direct')),
  'slow-deploy': playDeploy(sampleDeploy('slow')),
  'at-once': playDeploy(sampleCrowd),
  'no-op': playApplied('no-op', 'direct'),
  'slow-no-op': playApplied('no-op', 'slow'),
  list: playApplied('list', 'direct'),
};

function playDeploy(sample: Sampler): Game {
  return { prepare: nothing, sample, conclude: nothing };
}

/** All of the rounds on one database, which has to be what it was when they are over. */
function playApplied(action: Action, route: Route): Game {
  return {
    async prepare(contestant, size, { stage, onProgress }) {
      onProgress(`${action} of ${size}: the history of ${contestant.name}`);
      await stage.openApplied(contestant, size);
    },
    async sample(contestant, size, arena) {
      return runOn(route, contestant, action, await arena.stage.openApplied(contestant, size), arena);
    },
    async conclude(contestant, size, { stage }) {
      await stage.verifyUnchanged(await stage.openApplied(contestant, size));
    },
  };
}

function sampleDeploy(route: Route): Sampler {
  return (contestant, size, arena) =>
    arena.stage.withEmpty(contestant, size, async (place) => {
      const sample = await runOn(route, contestant, 'deploy', place, arena);
      await arena.stage.verifyApplied(contestant, size, place);
      return sample;
    });
}

/** Many processes that want the same, from the first one's start to the last one's end. */
async function sampleCrowd(contestant: Contestant, size: number, arena: Arena): Promise<Sample> {
  const { stage, crowd } = arena;
  const alone = await sampleDeploy('direct')(contestant, size, arena);
  return stage.withEmpty(contestant, size, async (place) => {
    const began = performance.now();
    const settled = await Promise.allSettled(
      Array.from({ length: crowd }, () => stage.run(contestant, 'deploy', place)),
    );
    const ms = performance.now() - began;
    const runs = settled.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
    const [reason] = settled.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    if (reason instanceof ContestantFailure) {
      throw new ContestantFailure(`${crowd - runs.length} of ${crowd} failed. ${reason.message}`);
    }
    if (reason !== undefined) throw reason;
    await stage.verifyApplied(contestant, size, place);
    return { ms, aloneMs: alone.ms, peakKb: alone.peakKb };
  });
}

async function runOn(
  route: Route,
  contestant: Contestant,
  action: Action,
  place: Place,
  { stage, proxy }: Arena,
): Promise<Sample> {
  if (route === 'direct') {
    const { ms, peakKb } = await stage.run(contestant, action, place);
    return { ms, peakKb };
  }
  proxy.takeTraffic();
  const { ms, peakKb } = await stage.run(contestant, action, { ...place, url: proxy.through(place.url) });
  return { ms, peakKb, traffic: proxy.takeTraffic() };
}
