import type { History } from '../core/history.ts';
import { currentVersion } from '../core/plan.ts';
import type { Entry } from '../core/state.ts';
import { lockKey, readLockHolder } from '../postgres/lock.ts';
import { isPending, listEntries } from './list.ts';
import type { DatabaseOptions } from './options.ts';
import { reportVersion, type StatusReport } from './reports.ts';
import { withSnapshot } from './snapshot.ts';

/** The database at a glance: version, what is pending, the last deploy, who holds the lock. Writes nothing. */
export async function status(options: DatabaseOptions): Promise<StatusReport> {
  return withSnapshot('status', options, 'read', async (snapshot) => {
    const { session, historyTable, tableState, alterations, history } = snapshot;
    const entries = listEntries(snapshot);
    const holder = await readLockHolder(session.connection, lockKey(historyTable));
    return {
      schemaVersion: reportVersion,
      command: 'status',
      database: session.database,
      history: { ...historyTable, exists: tableState.kind === 'history' },
      version: currentVersion(alterations, history) ?? null,
      counts: countStates(entries),
      pending: countPending(entries),
      lastDeploy: describeLastDeploy(history),
      lock: holder ?? null,
    };
  });
}

function countStates(entries: readonly Entry[]): StatusReport['counts'] {
  const count = (state: Entry['state']) => entries.filter((entry) => entry.state === state).length;
  return {
    applied: count('applied'),
    pending: count('pending'),
    late: count('late'),
    missing: count('missing'),
    edited: count('edited'),
  };
}

function countPending(entries: readonly Entry[]): StatusReport['pending'] {
  const counts = new Map<string, number>();
  for (const { state, version } of entries) {
    if (isPending(state)) counts.set(version, (counts.get(version) ?? 0) + 1);
  }
  return [...counts].map(([version, count]) => ({ version, count }));
}

function describeLastDeploy(history: History): StatusReport['lastDeploy'] {
  const origins = history.map(({ origin, state }) => ({
    ...origin,
    state,
    at: Date.parse(origin.appliedAt),
  }));
  const [last] = origins.toSorted((left, right) => right.at - left.at);
  if (!last) return null;
  const { at, deployId, role, host, runner } = last;
  const applied = origins.filter((one) => one.deployId === deployId && one.state === 'applied').length;
  return { at: new Date(at).toISOString(), deployId, applied, role, host, runner };
}
