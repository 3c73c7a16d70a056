import { setTimeout as pause } from 'node:timers/promises';
import type { ChaosAlteration } from './alteration-texts.ts';
import type { Arena } from './arena.ts';
import { attackRunner } from './attack.ts';
import { type ChaosDatabase, mendFaults, readPicture } from './databases.ts';
import type { Figures } from './figures.ts';
import { type Circumstances, type FinishedRunner, judgeOutcome, outcomeOf } from './outcomes.ts';
import { patient, type Round, type RunnerPlan, type Wave } from './plans.ts';
import { startRunner } from './runner.ts';
import { findDifferences, findFalsehoods, findLeftovers, findRemains, readProgress } from './violations.ts';

/** What a round is played on. */
export interface Stage {
  readonly arena: Arena;
  readonly figures: Figures;
  /** Where runners run, with the folder `alterations` in it. */
  readonly root: string;
  readonly disturbed: ChaosDatabase;
  /** The alterations of the folder as it is now. */
  readonly alterations: readonly ChaosAlteration[];
  /** What the database must have come to when the round is over. */
  readonly expected: readonly string[];
}

/** A promise that was not kept, with all that was seen of it. */
export class Violation extends Error {
  readonly runners: readonly FinishedRunner[];

  constructor(problems: readonly string[], runners: readonly FinishedRunner[]) {
    super(problems.join('\n'));
    this.runners = runners;
  }
}

const settleLimitMs = 15_000;

/** Disturbs runs wave by wave, then lets one come to its end, and looks at what has become of the database. */
export async function playRound(round: Round, stage: Stage): Promise<void> {
  const { disturbed, alterations, figures } = stage;
  let failing = alterations.filter(({ fault }) => fault !== undefined);
  const mend = async () => {
    await mendFaults(
      disturbed,
      failing.map(({ id }) => id),
    );
    failing = [];
  };
  for (const wave of round.waves) {
    if (wave.mended) await mend();
    await playWave(wave, round, failing, stage);
  }
  await mend();
  await playLast(round, stage);
  figures.countRound(round.direction, alterations.length);
}

async function playWave(
  wave: Wave,
  round: Round,
  failing: readonly ChaosAlteration[],
  stage: Stage,
): Promise<void> {
  const { figures } = stage;
  const running = wave.runners.map((plan) => playRunner(plan, round, stage));
  const [runners, restarted] = await Promise.all([Promise.all(running), restartUnder(wave, stage)]);
  for (const runner of runners) figures.countRunner(runner);
  if (restarted) figures.countKill({ kind: 'restart', moment: 'random instant' });
  await judge(runners, { restarted, failing }, round, stage);
}

async function restartUnder({ restartMs }: Wave, { arena: { server } }: Stage): Promise<boolean> {
  if (restartMs === undefined) return false;
  await pause(restartMs);
  await server.restart('immediate');
  return true;
}

async function playRunner(
  plan: RunnerPlan,
  round: Round,
  { arena, root, disturbed }: Stage,
): Promise<FinishedRunner> {
  const way = await arena.openWay(plan, disturbed.name);
  try {
    await pause(plan.startMs);
    const runner = startRunner({ args: argumentsOf(round, plan), url: way.url, cwd: root });
    const weapons = {
      terminate: (session: number) => arena.terminate(way.role, disturbed.name, session),
      cut: way.cut,
    };
    const attacking = plan.attack && attackRunner(runner, plan.attack, weapons);
    const [result, kill] = await Promise.all([runner.result, attacking]);
    return { plan, result, kill };
  } finally {
    await way.close();
  }
}

function argumentsOf(
  { direction }: Pick<Round, 'direction'>,
  { lockWait, grace }: Pick<RunnerPlan, 'lockWait' | 'grace'>,
) {
  const verb = direction === 'up' ? ['deploy', 'latest'] : ['rollback', '0.0.0', '--yes'];
  return [...verb, '--json', '--lock-wait', lockWait, '--grace', grace];
}

async function playLast(round: Round, stage: Stage): Promise<void> {
  const { arena, disturbed, alterations, expected } = stage;
  const plan: RunnerPlan = {
    number: 1,
    way: round.lastWay,
    startMs: 0,
    lockWait: patient,
    grace: '10s',
    attack: undefined,
  };
  const runner = await playRunner(plan, round, stage);
  stage.figures.countRunner(runner);
  const progress = await judge([runner], { restarted: false, failing: [] }, round, stage);
  const remains = await findRemains(disturbed, alterations, round.direction, progress);
  const picture = await readPicture(arena.server.url, disturbed);
  const problems = [...remains, ...findDifferences(picture, expected)];
  if (problems.length > 0) throw new Violation(problems, [runner]);
}

/** Looks at how runs have ended and at what they have left behind. */
async function judge(
  runners: readonly FinishedRunner[],
  circumstances: Circumstances,
  { direction }: Round,
  stage: Stage,
) {
  const wrong = runners.flatMap((runner) => {
    const problem = judgeOutcome(runner, circumstances);
    return problem === undefined ? [] : [`Runner ${runner.plan.number} ${problem}.`];
  });
  if (wrong.length > 0) throw new Violation(wrong, runners);
  const leftovers = await settle(stage);
  if (leftovers.length > 0) throw new Violation(leftovers, runners);
  const progress = await readProgress(stage.disturbed);
  const falsehoods = findFalsehoods(stage.alterations, direction, progress);
  if (falsehoods.length > 0) throw new Violation(falsehoods, runners);
  return progress;
}

/** Waits until nothing of the runners is on the server; tells what is still there at the end of the patience. */
async function settle({ disturbed, figures }: Stage): Promise<readonly string[]> {
  const start = performance.now();
  for (;;) {
    const leftovers = await findLeftovers(disturbed);
    const waitedMs = performance.now() - start;
    if (leftovers.length === 0) figures.countSettling(waitedMs);
    if (leftovers.length === 0 || waitedMs > settleLimitMs) return leftovers;
    await pause(20);
  }
}

/** A runner's part in a wave, in words. */
export function describeRunner({ plan, result, kill }: FinishedRunner): string {
  const { number, way, attack } = plan;
  const told = attack
    ? `${attack.kind} at ${JSON.stringify(attack.moment)}: ${kill ? `hit (${kill.moment})` : 'missed'}`
    : 'undisturbed';
  const ending = `ended with ${outcomeOf(result)}`;
  return `runner ${number} (${way}), ${told}, ${ending}\n${result.stderr}${result.stdout}`;
}
