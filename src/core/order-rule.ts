import { type Alteration, compareAlterations } from './alteration.ts';
import type { Problem } from './errors.ts';

/** What is known of the past of alterations, by their identities. */
export interface Past {
  /** When it came, in a count that only orders; absent: not committed yet, and so the newest of all. */
  readonly introduced: ReadonlyMap<string, number>;
  readonly released: ReadonlySet<string>;
}

/**
 * New alterations that sort before one of the same version that was there earlier: who has that one applied would get
 * the new one late. What came at the same time has no order that could be broken.
 */
export function findMisplaced(alterations: readonly Alteration[], past: Past): readonly Problem[] {
  const momentOf = ({ id }: Alteration) => past.introduced.get(id) ?? Number.POSITIVE_INFINITY;
  const byVersion = Map.groupBy(alterations, ({ version }) => version);
  return alterations.flatMap((alteration) => {
    if (past.released.has(alteration.id)) return [];
    const [last] = (byVersion.get(alteration.version) ?? [])
      .filter((other) => momentOf(other) < momentOf(alteration))
      .sort(compareAlterations)
      .slice(-1);
    return last && compareAlterations(alteration, last) < 0 ? [describe(alteration, last)] : [];
  });
}

function describe({ file }: Alteration, earlier: Alteration): Problem {
  const message = `"${file}" is new and sorts before "${earlier.file}", which was there first; give it a timestamp later than ${earlier.id}.`;
  return { file, message };
}
