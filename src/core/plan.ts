import { type Alteration, compareAlterations } from './alteration.ts';
import type { History, HistoryRow, Renaming } from './history.ts';
import { type Target, targetIncludes } from './target.ts';
import { compareVersions, type Version } from './version.ts';

/** One alteration of a plan. */
export interface Step {
  readonly alteration: Alteration;
  /** Pending, but ordered before an applied one. */
  readonly late: boolean;
  /** Statements of a no-transaction file that an earlier run has done. */
  readonly begun?: HistoryRow;
}

/** What a deploy would do, and what it noticed. */
export interface DeployPlan {
  readonly direction: 'up';
  readonly target: Target;
  /** Oldest first. */
  readonly steps: readonly Step[];
  /** Rows to bring up to date with their renamed files. */
  readonly renamings: readonly Renaming[];
  /** Rows without a file. */
  readonly missing: readonly HistoryRow[];
  /** Rows that a rollback has left half taken back. */
  readonly reverting: readonly HistoryRow[];
}

/** What a rollback would do, and what stands in its way. */
export interface RollbackPlan {
  readonly direction: 'down';
  readonly target: Target;
  /** Newest first. */
  readonly steps: readonly { readonly alteration: Alteration; readonly row: HistoryRow }[];
  /** Rows that would have to go, but have no file. */
  readonly missing: readonly HistoryRow[];
  /** Rows that would have to go, but are only half done. */
  readonly unfinished: readonly HistoryRow[];
}

/** Pending is files minus rows: every pending alteration within the target, whatever newer is applied. */
export function planDeploy(alterations: readonly Alteration[], history: History, target: Target): DeployPlan {
  const rows = new Map(history.map((row) => [row.id, row]));
  const pending = alterations.filter(
    ({ id, version }) => isPending(rows.get(id)) && targetIncludes(target, version),
  );
  const newest = pending.length === 0 ? undefined : newestApplied(alterations, history);
  const steps = pending
    .sort(compareAlterations)
    .map((alteration) => planStep(alteration, rows.get(alteration.id), newest));
  return {
    direction: 'up',
    target,
    steps,
    renamings: findRenamings(alterations, rows),
    missing: findMissing(alterations, history),
    reverting: history.filter(({ state }) => state === 'reverting'),
  };
}

/** Everything applied that is newer than the target, newest first. */
export function planRollback(
  alterations: readonly Alteration[],
  history: History,
  target: Target,
): RollbackPlan {
  const files = new Map(alterations.map((alteration) => [alteration.id, alteration]));
  const beyond = history.filter((row) => !targetIncludes(target, files.get(row.id)?.version ?? row.version));
  const steps = beyond
    .flatMap((row) => {
      const alteration = files.get(row.id);
      return alteration && row.state !== 'started' ? [{ alteration, row }] : [];
    })
    .sort((left, right) => compareAlterations(right.alteration, left.alteration));
  return {
    direction: 'down',
    target,
    steps,
    missing: beyond.filter(({ id }) => !files.has(id)),
    unfinished: beyond.filter(({ id, state }) => files.has(id) && state === 'started'),
  };
}

/** The newest version with an applied alteration; undefined for an empty history. */
export function currentVersion(
  alterations: readonly Alteration[],
  history: readonly Pick<HistoryRow, 'id' | 'version' | 'state'>[],
): Version | undefined {
  const files = new Map(alterations.map((alteration) => [alteration.id, alteration]));
  const versions = new Set<Version>();
  for (const { id, version, state } of history) {
    if (state !== 'started') versions.add(files.get(id)?.version ?? version);
  }
  return [...versions].sort(compareVersions).at(-1);
}

/** Rows without a file, in order. */
export function findMissing(alterations: readonly Alteration[], history: History): readonly HistoryRow[] {
  const files = new Set(alterations.map(({ id }) => id));
  return history.filter(({ id }) => !files.has(id)).sort(compareAlterations);
}

/** The applied alteration or row that comes last in the order; what is pending before it is late. */
export function newestApplied(alterations: readonly Alteration[], history: History) {
  const files = new Map(alterations.map((alteration) => [alteration.id, alteration]));
  return history
    .filter(({ state }) => state !== 'started')
    .map((row) => files.get(row.id) ?? row)
    .reduce<Alteration | HistoryRow | undefined>(
      (newest, entry) => (newest && compareAlterations(newest, entry) > 0 ? newest : entry),
      undefined,
    );
}

function isPending(row: HistoryRow | undefined): boolean {
  return row === undefined || row.state === 'started';
}

function planStep(
  alteration: Alteration,
  row: HistoryRow | undefined,
  newest: ReturnType<typeof newestApplied>,
): Step {
  const late = newest !== undefined && compareAlterations(alteration, newest) < 0;
  return row ? { alteration, late, begun: row } : { alteration, late };
}

function findRenamings(
  alterations: readonly Alteration[],
  rows: ReadonlyMap<string, HistoryRow>,
): readonly Renaming[] {
  return alterations.flatMap((alteration) => {
    const row = rows.get(alteration.id);
    if (!row || (row.version === alteration.version && row.name === alteration.name)) return [];
    return [{ alteration, from: { version: row.version, name: row.name } }];
  });
}
