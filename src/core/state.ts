import { type Alteration, compareAlterations, type Ordered } from './alteration.ts';
import type { History, HistoryRow } from './history.ts';
import { newestApplied } from './plan.ts';

/** applied: has a row · pending: has a file and no row · late: pending, ordered before an applied one ·
 * missing: has a row, no file · edited: applied, and the file is no longer what was applied. */
export type State = 'applied' | 'pending' | 'late' | 'missing' | 'edited';

/** One alteration with its state; at least one of file and row is there. */
export interface Entry extends Ordered {
  readonly id: string;
  readonly name: string;
  readonly state: State;
  readonly alteration?: Alteration;
  readonly row?: HistoryRow;
}

/** Every alteration of the folder and every row of the history, in order, each with its state. */
export function describeHistory(
  alterations: readonly Alteration[],
  history: History,
  editedIds: ReadonlySet<string>,
): readonly Entry[] {
  const rows = new Map(history.map((row) => [row.id, row]));
  const newest = newestApplied(alterations, history);
  const fromFiles = alterations.map((alteration): Entry => {
    const row = rows.get(alteration.id);
    const state = stateOf(alteration, row, newest, editedIds);
    const { id, version, seconds, suffix, name } = alteration;
    return { id, version, seconds, suffix, name, state, alteration, ...(row ? { row } : {}) };
  });
  const files = new Set(alterations.map(({ id }) => id));
  const fromRows = history
    .filter(({ id }) => !files.has(id))
    .map((row): Entry => {
      const { id, version, seconds, suffix, name } = row;
      return { id, version, seconds, suffix, name, state: 'missing', row };
    });
  return [...fromFiles, ...fromRows].sort(compareAlterations);
}

function stateOf(
  alteration: Alteration,
  row: HistoryRow | undefined,
  newest: Ordered | undefined,
  editedIds: ReadonlySet<string>,
): State {
  if (row && row.state !== 'started') return editedIds.has(alteration.id) ? 'edited' : 'applied';
  return newest && compareAlterations(alteration, newest) < 0 ? 'late' : 'pending';
}
