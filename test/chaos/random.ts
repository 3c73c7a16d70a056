import { createHash } from 'node:crypto';

/** A source of decisions: the same seed gives the same ones, whatever the clock does. */
export interface Random {
  /** An integer; both bounds may come. */
  readonly between: (low: number, high: number) => number;
  readonly chance: (probability: number) => boolean;
  readonly pick: <T>(items: readonly T[]) => T;
  /** Picks as often as the weights say. */
  readonly weigh: <T extends string>(weights: Readonly<Record<T, number>>) => T;
}

/** Decisions of their own for everything that is named, so that one more here changes none there. */
export function createRandom(...seed: readonly (string | number)[]): Random {
  const name = JSON.stringify(seed);
  let count = 0;
  const fraction = () => {
    count += 1;
    return createHash('sha256').update(`${name}:${count}`).digest().readUIntBE(0, 6) / 2 ** 48;
  };
  const between = (low: number, high: number) => low + Math.floor(fraction() * (high - low + 1));
  return {
    between,
    chance: (probability) => fraction() < probability,
    pick: <T>(items: readonly T[]): T => {
      const item = items[between(0, items.length - 1)];
      if (item === undefined) throw new Error('there is nothing to pick from');
      return item;
    },
    weigh: <T extends string>(weights: Readonly<Record<T, number>>): T => {
      // Keys of a record of T are T.
      const entries = Object.entries<number>(weights) as [T, number][];
      let rest = fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0);
      for (const [word, weight] of entries) {
        rest -= weight;
        if (rest < 0) return word;
      }
      throw new Error('all weights are nothing');
    },
  };
}
