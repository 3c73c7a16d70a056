// What must hold of a database whatever was done to the deploys: each function tells what does not, as sentences.

import { type ChaosAlteration, rerunnableStep } from './alteration-texts.ts';
import type { ChaosDatabase } from './databases.ts';

/** How far each alteration is, by its own account and by the history's. */
export interface Progress {
  /** How often a step was done, by `<alteration> <direction> <step>`. */
  readonly effects: ReadonlyMap<string, number>;
  /** State of the history's row, by alteration. */
  readonly rows: ReadonlyMap<string, string>;
}

export async function readProgress({ query }: ChaosDatabase): Promise<Progress> {
  const effects = await query<{ step: string; count: number }>(`
    select concat_ws(' ', alteration, direction, step) as step, count(*)::int as count from chaos.effects group by 1`);
  const [{ there } = { there: false }] = await query<{ there: boolean }>(
    `select to_regclass('public.alteration_history') is not null as there`,
  );
  const rows = there
    ? await query<{ timestamp: string; state: string }>('select "timestamp", state from alteration_history')
    : [];
  return {
    effects: new Map(effects.map(({ step, count }) => [step, count])),
    rows: new Map(rows.map(({ timestamp, state }) => [timestamp, state])),
  };
}

/** Half-way: nothing is done twice, and what the history says of an alteration is what it has done. */
export function findFalsehoods(
  alterations: readonly ChaosAlteration[],
  direction: 'up' | 'down',
  { effects, rows }: Progress,
): readonly string[] {
  const twice = [...effects].filter(([, count]) => count > 1).map(([step]) => `"${step}" was done twice`);
  const wrong = alterations.flatMap((alteration) => {
    const { id, steps } = alteration;
    const row = rows.get(id);
    const done = steps[direction].filter((step) => effects.has(`${id} ${direction} ${step}`));
    const state = stateOf(row, direction);
    if (isPossible(alteration, direction, state, done)) return [];
    return [
      `${id} (${alteration.mode}) has done ${JSON.stringify(done)} ${direction}, and its row is ${row ?? 'absent'}`,
    ];
  });
  return [...twice, ...wrong];
}

type State = 'untouched' | 'under way' | 'done';

function stateOf(row: string | undefined, direction: 'up' | 'down'): State {
  if (row !== undefined && row !== 'applied') return 'under way';
  return (row === 'applied') === (direction === 'up') ? 'done' : 'untouched';
}

function isPossible(
  { mode, steps }: ChaosAlteration,
  direction: 'up' | 'down',
  state: State,
  done: readonly string[],
): boolean {
  const all = steps[direction];
  if (state === 'done') return done.length === all.length;
  if (mode === 'two-phase') return done.every((step) => step === rerunnableStep);
  if (mode === 'atomic' || state === 'untouched') return done.length === 0;
  return done.every((step, index) => step === all[index]);
}

/** At the end: all is done, and nothing is left of how it came about. */
export async function findRemains(
  { query }: ChaosDatabase,
  alterations: readonly ChaosAlteration[],
  direction: 'up' | 'down',
  progress: Progress,
): Promise<readonly string[]> {
  const undone = alterations
    .filter(({ id }) => stateOf(progress.rows.get(id), direction) !== 'done')
    .map(({ id }) => `${id} is not ${direction === 'up' ? 'applied' : 'rolled back'}`);
  const remains = await query<{ what: string }>(remainsText);
  return [...undone, ...remains.map(({ what }) => what)];
}

const remainsText = `
  select format('the index %s is invalid', indexrelid::regclass) as what
  from pg_index where not (indisvalid and indisready and indislive)
  union all
  select format('the partition %s is half detached', inhrelid::regclass) from pg_inherits where inhdetachpending
  union all
  select format('the transaction %s is prepared', gid) from pg_prepared_xacts where database = current_database()`;

/** What of the runners is still on the server; what a pooler keeps for others is theirs only while it works. */
export async function findLeftovers({ query }: ChaosDatabase): Promise<readonly string[]> {
  const rows = await query<{ what: string }>(`
    select format('session %s of %s is %s in: %s', pid, usename, state, left(query, 200)) as what
    from pg_stat_activity
    where datname = current_database() and (usename ~ '^direct_' or (usename ~ '^pooled_' and state <> 'idle'))
    union all
    select format('session %s holds an advisory lock (%s): %s', l.pid, a.usename, left(a.query, 200))
    from pg_locks as l left join pg_stat_activity as a on a.pid = l.pid
    where l.locktype = 'advisory' and l.database = (select oid from pg_database where datname = current_database())`);
  return rows.map(({ what }) => what);
}

/** The lines of which one of two pictures has more than the other. */
export function findDifferences(actual: readonly string[], expected: readonly string[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const line of actual) counts.set(line, (counts.get(line) ?? 0) + 1);
  for (const line of expected) counts.set(line, (counts.get(line) ?? 0) - 1);
  return [...counts].flatMap(([line, count]) => {
    if (count === 0) return [];
    return [`${count > 0 ? 'there is' : 'there is no'} ${line}`];
  });
}
