import { currentVersion } from '../core/plan.ts';
import { describeHistory, type Entry } from '../core/state.ts';
import type { DatabaseOptions } from './options.ts';
import { type Listed, type ListReport, reportVersion } from './reports.ts';
import { type Snapshot, withSnapshot } from './snapshot.ts';

export interface ListOptions extends DatabaseOptions {
  /** Only what is pending or late. */
  readonly pending?: boolean;
}

/** Every alteration of the folder and of the history with its state. Takes no lock, writes nothing. */
export async function list(options: ListOptions): Promise<ListReport> {
  return withSnapshot('list', options, 'read', async (snapshot) => ({
    schemaVersion: reportVersion,
    command: 'list',
    database: snapshot.session.database,
    version: currentVersion(snapshot.alterations, snapshot.history) ?? null,
    alterations: listEntries(snapshot)
      .filter(({ state }) => !options.pending || isPending(state))
      .map(describeEntry),
  }));
}

/** The snapshot's entries, edited ones marked. */
export function listEntries({ alterations, history, edited }: Snapshot): readonly Entry[] {
  return describeHistory(alterations, history, new Set(edited.map(({ alteration: { id } }) => id)));
}

export function isPending(state: Entry['state']): boolean {
  return state === 'pending' || state === 'late';
}

function describeEntry({ id, version, name, state, alteration, row }: Entry): Listed {
  const applied = row && row.state !== 'started' ? row.origin : undefined;
  return {
    id,
    version,
    name,
    file: alteration?.file ?? null,
    state,
    appliedAt: applied ? new Date(applied.appliedAt).toISOString() : null,
    durationMs: applied?.durationMs ?? null,
    role: applied?.role ?? null,
    host: applied?.host ?? null,
    statementsDone: row && row.state !== 'applied' ? row.statementDigests.length : null,
  };
}
