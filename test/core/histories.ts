import type { Alteration } from '../../src/core/alteration.ts';
import { assembleAlterations } from '../../src/core/assemble-alterations.ts';
import type { HistoryRow } from '../../src/core/history.ts';

/** Alterations from `<version>-<timestamp>`, in the order of the folder. */
export function alterationsOf(...places: readonly string[]): readonly Alteration[] {
  return assembleAlterations(
    places.map((place) => `${place}-change.sql`),
    'alterations',
  );
}

/** The row of an alteration that was applied as `<version>-<timestamp>`, or of one that was only begun. */
export function rowOf(place: string, state: HistoryRow['state'] = 'applied'): HistoryRow {
  const [alteration] = alterationsOf(place);
  if (!alteration) throw new Error(`"${place}" is no alteration.`);
  const { id, version, seconds, suffix, name } = alteration;
  return {
    id,
    version,
    seconds,
    suffix,
    name,
    checksum: `sql-1:${id}`,
    state,
    origin: {
      appliedAt: '2026-11-22T08:00:00.000Z',
      durationMs: 12,
      role: 'deployer',
      host: 'pod-1',
      runner: '0.1.0',
      deployId: '6f1c1c9e-0000-4000-8000-000000000000',
    },
    statementDigests: [],
  };
}

/** Rows of applied alterations; a `*` before one tells that it was only begun. */
export function rowsOf(...places: readonly string[]): readonly HistoryRow[] {
  return places.map((place) => (place.startsWith('*') ? rowOf(place.slice(1), 'started') : rowOf(place)));
}
