import { type ChaosAlteration, createAlteration } from './alteration-texts.ts';
import { createRandom } from './random.ts';

/** A product's history as it grows: what each of its releases adds. */
export interface ChaosHistory {
  readonly number: number;
  readonly releases: readonly (readonly ChaosAlteration[])[];
}

const firstTimestamp = 1_700_000_000;

/** The history of that number; a seed has as many as are asked for. */
export function createHistory(seed: number, number: number): ChaosHistory {
  const random = createRandom('history', seed, number);
  let timestamp = firstTimestamp;
  const releases = Array.from({ length: random.between(2, 4) }, (_, release) =>
    Array.from({ length: random.between(3, 8) }, () => {
      timestamp += random.between(1, 1_000);
      return createAlteration({ id: String(timestamp), version: `1.${release}.0`, random });
    }),
  );
  return { number, releases };
}
