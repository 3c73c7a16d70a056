import { parseArgs } from 'node:util';
import { allContestants } from './contestants/all.ts';
import type { Contestant } from './contestants/contestant.ts';
import { type Measure, measures, type Trial } from './results.ts';
import { UsageError } from './usage-error.ts';

export interface Options {
  readonly contestants: readonly Contestant[];
  readonly trials: readonly Trial[];
  readonly rounds: number;
  /** Processes at once. */
  readonly crowd: number;
  /** What becomes of what was measured: it goes into the page and the committed results, or is only shown. */
  readonly purpose: 'record' | 'show';
}

const scales = {
  complete: {
    rounds: '5',
    deploy: [10, 100, 1_000],
    applied: [10, 100, 1_000, 5_000],
    list: [1_000],
    slow: [100],
    crowd: 16,
    crowded: [100],
  },
  quick: { rounds: '2', deploy: [30], applied: [10, 60], list: [60], slow: [10], crowd: 4, crowded: [10] },
};

type Scale = (typeof scales)['quick'];

/** A history this long is measured less often: a round of it takes what ten of the others do. */
const longHistory = { from: 5_000, rounds: 3 };

export const usage = `npm run bench -- [options]

  --quick              in about a minute: small histories, few rounds
  --only a,b           these measures only: ${measures.join(', ')}
  --contestants a,b    these only, and the floors: ${namesOf('ours', 'peer')}
  --rounds n           how often each is measured (${scales.complete.rounds}, with --quick ${scales.quick.rounds})

The tables are printed. What all contestants took part in at full size also goes into bench/results/latest.json and
docs/performance.md, each measure as soon as it is over and in the place of its older result: a run may be done in parts
(--only), and one that was interrupted keeps what it had. With --quick or --contestants, bench/results/partial.json is
written instead. TMPDIR says on which disk the server and the files are.
`;

/** Throws UsageError. Undefined when help was asked for. */
export function parseOptions(argv: readonly string[]): Options | undefined {
  const { help, quick, only, contestants, rounds: given } = readArguments(argv);
  if (help) return undefined;
  const scale = quick ? scales.quick : scales.complete;
  const rounds = parseRounds(given ?? scale.rounds);
  const named = parseNames(
    'contestant',
    contestants,
    allContestants.map(({ name }) => name),
  );
  return {
    contestants: allContestants.filter(({ name, kind }) => kind === 'floor' || named.includes(name)),
    trials: planTrials(scale, parseNames('measure', only, measures), rounds),
    rounds,
    crowd: scale.crowd,
    purpose: quick || contestants !== undefined ? 'show' : 'record',
  };
}

function readArguments(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        help: { type: 'boolean', short: 'h' },
        quick: { type: 'boolean' },
        only: { type: 'string' },
        contestants: { type: 'string' },
        rounds: { type: 'string' },
      },
    }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function parseNames<T extends string>(
  kind: string,
  text: string | undefined,
  known: readonly T[],
): readonly T[] {
  if (text === undefined) return known;
  return text.split(',').map((given) => {
    const name = known.find((candidate) => candidate === given.trim());
    if (name === undefined)
      throw new UsageError(`There is no ${kind} "${given}": choose of ${known.join(', ')}.`);
    return name;
  });
}

function parseRounds(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text))
    throw new UsageError(`"${text}" is no number of rounds: give one from 1 to 999.`);
  return Number(text);
}

function planTrials(scale: Scale, only: readonly Measure[], rounds: number): readonly Trial[] {
  const sizesOf: Readonly<Record<Measure, readonly number[]>> = {
    version: [0],
    deploy: scale.deploy,
    'slow-deploy': scale.slow,
    'at-once': scale.crowded,
    'no-op': scale.applied,
    'slow-no-op': scale.slow,
    list: scale.list,
  };
  return measures
    .filter((measure) => only.includes(measure))
    .flatMap((measure) =>
      sizesOf[measure].map((size) => ({
        measure,
        size,
        rounds: size < longHistory.from ? rounds : Math.min(rounds, longHistory.rounds),
      })),
    );
}

function namesOf(...kinds: readonly Contestant['kind'][]): string {
  return allContestants
    .filter(({ kind }) => kinds.includes(kind))
    .map(({ name }) => name)
    .join(', ');
}
