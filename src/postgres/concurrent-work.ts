// What `… concurrently` statements leave behind when they do not come to their end. All of it is called outside of
// a transaction, with search_path and role as the statement has them.

import { setTimeout as pause } from 'node:timers/promises';
import type { ConcurrentWork, QualifiedName, ReindexWork } from '../core/concurrent-work.ts';
import type { Blocker } from '../core/errors.ts';
import { now } from '../now.ts';
import { type Queryable, readDocument, trusted } from './query.ts';
import { type Fragment, type Query, sql } from './sql.ts';

const pollMs = 200;
const reportEveryMs = 5_000;

interface IndexName {
  readonly schema: string;
  readonly name: string;
}

type Work<Kind extends ConcurrentWork['kind']> = Extract<ConcurrentWork, { readonly kind: Kind }>;
type IndexWork = Exclude<ConcurrentWork, { kind: 'detach-partition' }>;

export interface ConcurrentWait {
  /** The sessions that are at the same work. */
  readonly blockers: readonly Blocker[];
  readonly waitedMs: number;
}

export interface PrepareOptions {
  /**
   * Whether the statement was under way when an earlier run ended, and `hasConcurrentEffect` had said no before:
   * what is there now is then its own doing.
   */
  readonly resumed: boolean;
  /** Called when other sessions work on the same thing, then every few seconds. */
  readonly onWait?: ((wait: ConcurrentWait) => void) | undefined;
  /** Aborted when the run is to stop; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/** What is left to do: the statement, nothing, or another one that brings to its end what the statement began. */
export type ConcurrentStep =
  | { readonly kind: 'run' }
  | { readonly kind: 'done' }
  | { readonly kind: 'run-instead'; readonly query: Query };

/**
 * Makes ready for the statement: waits until no other session is at the same work (a killed runner may have left one),
 * and removes what a statement that did not come to its end has left, which the next one would stumble over or
 * take for finished.
 */
export async function prepareConcurrentWork(
  connection: Queryable,
  work: ConcurrentWork,
  options: PrepareOptions,
): Promise<ConcurrentStep> {
  if (work.kind === 'detach-partition') {
    const query = finalizeDetach(work);
    if ((await readPartition(connection, work)) === 'pending') return { kind: 'run-instead', query };
  } else await waitForOthers(connection, work, options);
  if (options.resumed && (await hasConcurrentEffect(connection, work))) return { kind: 'done' };
  if (work.kind === 'create-index' || work.kind === 'reindex') await dropLeftovers(connection, work);
  return { kind: 'run' };
}

/** Whether what the statement is to bring about is there already. Of a `reindex` nothing tells. */
export async function hasConcurrentEffect(connection: Queryable, work: ConcurrentWork): Promise<boolean> {
  switch (work.kind) {
    case 'create-index':
      return (await readCreated(connection, work)) === 'valid';
    case 'drop-index':
      return !(await existsAny(connection, work.indexes));
    case 'reindex':
      return false;
    case 'detach-partition':
      return (await readPartition(connection, work)) === 'detached';
  }
}

/** Throws when the statement, which PostgreSQL has just called done, has not brought about what it says. */
export async function verifyConcurrentWork(connection: Queryable, work: ConcurrentWork): Promise<void> {
  if (work.kind === 'create-index' && work.index !== undefined) {
    const [index, table] = [work.index, work.table.name].map((name) => JSON.stringify(name));
    const state = await readCreated(connection, work);
    if (state === 'invalid')
      throw new Error(`index ${index} is there, but invalid: PostgreSQL does not use it`);
    // `if not exists` is content with any relation of that name.
    if (state === 'absent') throw new Error(`${index} is there, but it is not an index of ${table}`);
  }
  if (work.kind === 'reindex') await verifyReindex(connection, work);
}

/** Throws when an index is invalid that the statement has built or should have dropped. */
async function verifyReindex(connection: Queryable, work: ReindexWork): Promise<void> {
  // Of a table's indexes PostgreSQL leaves invalid ones as they are.
  const named = work.scope === 'index' ? await readInvalid(connection, isIndexOf(work)) : [];
  const invalid = [...named, ...(await readLeftovers(connection, work))];
  if (invalid.length === 0 || (await readOthers(connection, work)).length > 0) return;
  const names = invalid.map(({ schema, name }) => JSON.stringify(`${schema}.${name}`)).join(', ');
  throw new Error(`reindex is over, but these indexes are invalid: ${names}`);
}

function finalizeDetach({ table, partition }: Work<'detach-partition'>): Query {
  return sql.unsafe`alter table ${identifierOf(table)} detach partition ${identifierOf(partition)} finalize`;
}

// Polls: a session blocked in a lock holds a snapshot, which the other's concurrent work would wait for.
async function waitForOthers(
  connection: Queryable,
  work: IndexWork,
  { onWait, signal }: PrepareOptions,
): Promise<void> {
  const start = now();
  let reportAtMs = 0;
  for (;;) {
    const blockers = await readOthers(connection, work);
    if (blockers.length === 0) return;
    const waitedMs = now() - start;
    if (waitedMs >= reportAtMs) {
      onWait?.({ blockers, waitedMs });
      reportAtMs = waitedMs + reportEveryMs;
    }
    await pause(pollMs * (0.5 + Math.random()), undefined, signal ? { signal } : {}).catch(() => undefined);
    signal?.throwIfAborted();
  }
}

/**
 * The sessions that build indexes on the work's tables, those that drop or rebuild its indexes, and who waits to do so.
 * Told by their locks, since of another role's progress PostgreSQL shows no more than the process.
 */
async function readOthers(connection: Queryable, work: IndexWork): Promise<readonly Blocker[]> {
  const query = sql.unsafe`
    select coalesce(pg_catalog.json_agg(pg_catalog.json_strip_nulls(pg_catalog.row_to_json(other))), '[]')::text as document
    from (
      select distinct on (l.pid) l.pid, l.mode as "lockMode", nullif(a.application_name, '') as "applicationName",
        pg_catalog.format('%I.%I', n.nspname, c.relname) as relation, a.usename as role, a.state,
        pg_catalog.round(extract(epoch from pg_catalog.clock_timestamp() - a.xact_start) * 1000) as "transactionAgeMs",
        pg_catalog."left"(pg_catalog.regexp_replace(
          nullif(a.query, '<insufficient privilege>'), '[[:space:]]+', ' ', 'g'), 80) as query
      from pg_catalog.pg_locks as l
      join pg_catalog.pg_class as c on c.oid = l.relation
      join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
      left join pg_catalog.pg_stat_activity as a on a.pid = l.pid
      where l.pid <> pg_catalog.pg_backend_pid() and l.mode = 'ShareUpdateExclusiveLock'
        and l.database = (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database())
        and (${isLockOfDrop(work)} or ${isLockOfBuild(work)})
      order by l.pid, c.relkind desc
    ) as other`;
  return readDocument(connection, query, trusted<readonly Blocker[]>());
}

/** Nothing else that lasts takes this lock on an index; a `reindex` does too. */
function isLockOfDrop(work: IndexWork) {
  return sql.fragment`
    l.relation in (select i.indexrelid from pg_catalog.pg_index as i where ${isIndexOf(work)})`;
}

/** `vacuum` and `analyze` take this lock on a table too, and are no concern of ours. */
function isLockOfBuild(work: IndexWork) {
  const tables =
    work.kind === 'create-index'
      ? relationOf(work.table)
      : sql.fragment`select i.indrelid from pg_catalog.pg_index as i where ${isIndexOf(work)}`;
  return sql.fragment`
    (l.relation in (${tables}) and l.pid in (select pid from pg_catalog.pg_stat_progress_create_index))`;
}

async function dropLeftovers(connection: Queryable, work: Work<'create-index' | 'reindex'>): Promise<void> {
  for (const { schema, name } of await readLeftovers(connection, work)) {
    await connection.query(sql.unsafe`drop index concurrently if exists ${sql.identifier([schema, name])}`);
  }
}

/** Invalid indexes that are left of such a statement, as far as this role may drop them. */
async function readLeftovers(
  connection: Queryable,
  work: Work<'create-index' | 'reindex'>,
): Promise<readonly IndexName[]> {
  const isLeft = work.kind === 'create-index' ? isIndexOf(work) : isCopyOfIndexOf(work);
  return readInvalid(connection, sql.fragment`${isLeft} and not c.relispartition and ${mayDrop}`);
}

/** Of a TOAST table's, in whose schema only superusers may look something up, even its owner may not. */
const mayDrop = sql.fragment`
  pg_catalog.has_schema_privilege(n.oid, 'usage')
  and (pg_catalog.pg_has_role(c.relowner, 'usage') or pg_catalog.pg_has_role(n.nspowner, 'usage'))`;

/** Invalid indexes for which the condition holds, `i` being its row of pg_index, `c` of pg_class, `n` of pg_namespace. */
async function readInvalid(connection: Queryable, condition: Fragment): Promise<readonly IndexName[]> {
  const query = sql.unsafe`
    select coalesce(
      pg_catalog.json_agg(pg_catalog.json_build_object('schema', n.nspname, 'name', c.relname) order by c.oid), '[]'
    )::text as document
    from pg_catalog.pg_index as i
    join pg_catalog.pg_class as c on c.oid = i.indexrelid
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where not i.indisvalid and c.relkind = 'i' and ${condition}`;
  return readDocument(connection, query, trusted<readonly IndexName[]>());
}

/**
 * Whether index `i`, of class `c`, is what `reindex concurrently` makes of one of the work's indexes: `_ccnew` while
 * it is built, `_ccold` when the new one has taken its place, with a number where that name is taken. The index's own
 * name is cut, at a character, to what PostgreSQL's longest identifier leaves it.
 */
function isCopyOfIndexOf(work: ReindexWork) {
  return sql.fragment`exists (
    select from pg_catalog.pg_class as original_class
    join pg_catalog.pg_index as original on original.indexrelid = original_class.oid
    cross join lateral pg_catalog.regexp_match(c.relname::text, '^(.+)_(cc(?:new|old)[0-9]*)$') as part
    where original.indexrelid in (select i.indexrelid from pg_catalog.pg_index as i where ${isIndexOf(work)})
      and original.indrelid = i.indrelid and original.indexrelid <> i.indexrelid
      and original.indkey::text = i.indkey::text and original.indclass::text = i.indclass::text
      and pg_catalog.starts_with(original_class.relname::text, part[1])
      and (
        original_class.relname::text = part[1]
        or pg_catalog.octet_length(
          pg_catalog."left"(original_class.relname::text, pg_catalog.char_length(part[1]) + 1) || '_' || part[2]
        ) > pg_catalog.current_setting('max_identifier_length')::int
      )
  )`;
}

/** Whether index `i` is one that the statement works on. */
function isIndexOf(work: IndexWork): Fragment {
  switch (work.kind) {
    case 'create-index':
      return sql.fragment`i.indrelid = ${relationOf(work.table)} and i.indexrelid in (
        select oid from pg_catalog.pg_class where relname = ${work.index ?? null})`;
    case 'drop-index':
      return sql.fragment`i.indexrelid in (${sql.join(work.indexes.map(relationOf), sql.fragment`, `)})`;
    case 'reindex':
      return isReindexed(work);
  }
}

function isReindexed(work: ReindexWork): Fragment {
  switch (work.scope) {
    case 'index':
      return sql.fragment`i.indexrelid in (${withPartitions(work.name)})`;
    case 'table':
      return isOnTable(withPartitions(work.name));
    case 'schema':
      return isOnTable(sql.fragment`
        select oid from pg_catalog.pg_class where relnamespace in (
          select oid from pg_catalog.pg_namespace where nspname = ${work.schema})`);
    case 'database':
      return sql.fragment`true`;
  }
}

function withPartitions(name: QualifiedName): Fragment {
  return sql.fragment`
    select ${relationOf(name)} union all
    select relid from pg_catalog.pg_partition_tree(${relationOf(name)})`;
}

function isOnTable(tables: Fragment): Fragment {
  return sql.fragment`i.indrelid in (
    select pg_catalog.unnest(array[oid, reltoastrelid]) from pg_catalog.pg_class where oid in (${tables}))`;
}

async function readCreated(
  connection: Queryable,
  work: Work<'create-index'>,
): Promise<'valid' | 'invalid' | 'absent'> {
  const query = sql.unsafe`
    select (select i.indisvalid::text from pg_catalog.pg_index as i where ${isIndexOf(work)}) as document`;
  const valid = await readDocument(connection, query, trusted<boolean | null>());
  if (valid === null) return 'absent';
  return valid ? 'valid' : 'invalid';
}

async function existsAny(connection: Queryable, names: readonly QualifiedName[]): Promise<boolean> {
  const relations = sql.join(names.map(relationOf), sql.fragment`, `);
  return readDocument(
    connection,
    sql.unsafe`select (coalesce(${relations}) is not null)::text as document`,
    trusted<boolean>(),
  );
}

/** As JSON, since PostgreSQL 13 has no column that says that a detachment is pending. */
async function readPartition(
  connection: Queryable,
  { table, partition }: Work<'detach-partition'>,
): Promise<'attached' | 'pending' | 'detached' | 'absent'> {
  const query = sql.unsafe`
    select (
      select pg_catalog.to_json(case
        when i.inhrelid is null then 'detached'
        when (pg_catalog.to_jsonb(i) ->> 'inhdetachpending')::boolean then 'pending'
        else 'attached' end)
      from (select ${relationOf(table)} as parent, ${relationOf(partition)} as child) as o
      left join pg_catalog.pg_inherits as i on i.inhparent = o.parent and i.inhrelid = o.child
      where o.parent is not null and o.child is not null
    )::text as document`;
  const state = await readDocument(connection, query, trusted<'attached' | 'pending' | 'detached' | null>());
  return state ?? 'absent';
}

function relationOf(name: QualifiedName): Fragment {
  const quoted = partsOf(name).map((part) => `"${part.replaceAll('"', '""')}"`);
  return sql.fragment`pg_catalog.to_regclass(${quoted.join('.')})`;
}

function identifierOf(name: QualifiedName) {
  return sql.identifier(partsOf(name));
}

function partsOf({ schema, name }: QualifiedName): string[] {
  return schema === undefined ? [name] : [schema, name];
}
