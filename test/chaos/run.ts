// Kills deploys at random instants and at the boundaries of their steps, and looks at what becomes of the databases:
//   npm run build && npm run test:chaos -- --kills 40 --seed 7
// A seed has the same histories and the same plans every time; `--first 12` begins with its twelfth history, where an
// earlier run has stopped or failed. `--direct` does without PgBouncer (Debian's package pgbouncer).

import { parseArgs } from 'node:util';
import { openArena } from './arena.ts';
import { createFigures, type Figures } from './figures.ts';
import type { Ways } from './plans.ts';
import { type PlayOptions, playHistory } from './play-history.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '40' },
    seed: { type: 'string' },
    first: { type: 'string', default: '1' },
    direct: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000));
const wanted = Number(values.kills);
const first = Number(values.first);
const ways: Ways = values.direct ? { direct: 2, slow: 1 } : { direct: 3, slow: 2, pooled: 3 };
if (![seed, wanted, first].every(Number.isSafeInteger))
  throw new Error('--kills, --seed and --first are numbers');

process.exitCode = await main();

async function main(): Promise<number> {
  process.stdout.write(`seed ${seed}\n`);
  const figures = createFigures();
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  const arena = await openArena(Object.keys(ways) as (keyof Ways)[]);
  try {
    const failure = await playHistories({ seed, ways, arena, figures, wanted, stop: stop.signal });
    process.stdout.write(`${figures.render()}\n`);
    if (failure === undefined) return stop.signal.aborted ? 130 : 0;
    process.stdout.write(`\n${failure}\n`);
    return 1;
  } finally {
    await arena.close();
  }
}

/** Plays histories until there were kills enough; tells what went wrong. */
async function playHistories(options: Omit<PlayOptions, 'number'>): Promise<string | undefined> {
  const { figures, stop } = options;
  for (let number = first; figures.kills() < wanted && !stop.aborted; number += 1) {
    if (number - first > wanted + 10) return 'The kills do not meet the runners: hardly any history had one.';
    const before = figures.kills();
    const failure = await playHistory({ ...options, number });
    if (failure !== undefined) return failure;
    tellProgress(number, before, figures);
  }
  return undefined;
}

function tellProgress(number: number, before: number, figures: Figures): void {
  process.stdout.write(`history ${number}: ${figures.kills() - before} kills, ${figures.kills()} in all\n`);
}
