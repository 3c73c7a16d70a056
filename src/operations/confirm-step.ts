import { OvertakenError } from '../core/errors.ts';
import type { HistoryRow } from '../core/history.ts';
import { readHistory } from '../postgres/history-table.ts';
import type { Queryable } from '../postgres/query.ts';
import type { ExecutableStep, RunContext } from './run-context.ts';

/** Thrown out of the step's own transaction: another instance has done it. */
export class TakenOver extends Error {}

/**
 * Whether the step is still to be done, told under the lock; gives the row that an earlier run has left half-way.
 * Where a session holds the lock from the plan to the end, the plan has said it. Behind a transaction pooler others may
 * have altered since: throws a TakenOver when one has done this step, an OvertakenError when the plan no longer suits.
 */
export async function confirmStep(
  direction: 'up' | 'down',
  { loaded: { alteration }, begun }: ExecutableStep,
  connection: Queryable,
  context: RunContext,
): Promise<HistoryRow | undefined> {
  const { session, historyTable } = context;
  if (session.database.pooler === 'none') return begun;
  const basis = context.basis();
  const tableState = await session.readTableState(connection);
  const history = await readHistory(connection, historyTable, tableState);
  const row = history.find(({ id }) => id === alteration.id);
  const ids = new Set(history.map(({ id }) => id));
  if (direction === 'up') {
    refuseChange(
      [...basis].filter((id) => !ids.has(id)),
      alteration.file,
      'rolled back',
    );
    if (row?.state === 'applied') throw new TakenOver();
    return row;
  }
  refuseChange(
    [...ids].filter((id) => !basis.has(id)),
    alteration.file,
    'deployed',
  );
  if (!row) throw new TakenOver();
  return row.state === 'reverting' ? row : undefined;
}

function refuseChange(ids: readonly string[], file: string, verb: string): void {
  if (ids.length === 0) return;
  const others = ids.length === 1 ? `alteration ${ids[0]}` : `${ids.length} alterations`;
  throw new OvertakenError(
    `Another instance has ${verb} ${others} since the turn of "${file}" was planned.`,
    {
      hint: 'Run it again when the other has finished: it goes on from what is applied then.',
    },
  );
}
