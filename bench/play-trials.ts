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

/** Plays each trial that the contestant takes part in; one that fails is not asked again in that trial. */
export async function playTrials(
  trials: readonly Trial[],
  contestants: readonly Contestant[],
  rounds: number,
  arena: Arena,
): Promise<readonly TrialResult[]> {
  const results: TrialResult[] = [];
  for (const trial of trials) {
    const players = contestants.filter((contestant) => takesPart(contestant, trial));
    results.push({ ...trial, outcomes: await playTrial(trial, players, rounds, arena) });
  }
  return results;
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
  rounds: number,
  arena: Arena,
): Promise<readonly Outcome[]> {
  const samples = new Map<Contestant, Sample[]>(players.map((player) => [player, []]));
  const failures = new Map<Contestant, string>();
  const play = async (player: Contestant, keep: 'keep' | 'discard') => {
    if (failures.has(player)) return;
    try {
      const sample = await samplers[trial.measure](player, trial.size, arena);
      if (keep === 'keep') samples.get(player)?.push(sample);
    } catch (error) {
      if (!(error instanceof ContestantFailure)) throw error;
      failures.set(player, error.message);
    }
  };
  if (trial.measure === 'version') for (const player of players) await play(player, 'discard'); // from a cold disk
  for (let round = 0; round < rounds; round += 1) {
    arena.onProgress(`${trial.measure} of ${trial.size}, round ${round + 1} of ${rounds}`);
    for (const player of turn(players, round)) await play(player, 'keep');
  }
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

type Sampler = (contestant: Contestant, size: number, arena: Arena) => Promise<Sample>;
type Route = 'direct' | 'slow';

const samplers: Readonly<Record<Measure, Sampler>> = {
  version: (contestant, _, arena) =>
    runOn('direct', contestant, 'version', { folder: tmpdir(), url: '' }, arena),
  deploy: sampleDeploy('direct'),
  'slow-deploy': sampleDeploy('slow'),
  'at-once': sampleCrowd,
  'no-op': sampleApplied('no-op', 'direct'),
  'slow-no-op': sampleApplied('no-op', 'slow'),
  list: sampleApplied('list', 'direct'),
};

function sampleDeploy(route: Route): Sampler {
  return (contestant, size, arena) =>
    arena.stage.withEmpty(contestant, size, async (place) => {
      const sample = await runOn(route, contestant, 'deploy', place, arena);
      await arena.stage.verifyApplied(contestant, size, place);
      return sample;
    });
}

function sampleApplied(action: Action, route: Route): Sampler {
  return async (contestant, size, arena) => {
    const place = await arena.stage.openApplied(contestant, size);
    const sample = await runOn(route, contestant, action, place, arena);
    await arena.stage.verifyUnchanged(place);
    return sample;
  };
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
