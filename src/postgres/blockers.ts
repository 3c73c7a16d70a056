import type { Blocker } from '../core/errors.ts';
import { type Queryable, readDocument, trusted } from './query.ts';
import { sql } from './sql.ts';

const queryLength = 80;

/**
 * Who keeps the backend `pid` waiting for a lock now, those that hold it before those that wait for it ahead of us;
 * empty when it waits for none. Prepared transactions have no session: their pid is 0, and their `state` names them.
 * To be asked on another connection than the one that waits, outside of a transaction: within one, PostgreSQL goes on
 * telling the sessions' states of the first time.
 */
export async function readBlockers(connection: Queryable, pid: number): Promise<readonly Blocker[]> {
  const blockers = await readDocument(connection, blockersQuery(pid), trusted<readonly Blocker[]>());
  return blockers.map(shorten);
}

// pg_blocking_pids and pg_locks hold up all who take locks, if only for a moment: a session that does not wait is
// not looked up in them.
function blockersQuery(pid: number) {
  return sql.unsafe`
    with waiting as materialized (
      select a.pid from pg_catalog.pg_stat_activity as a
      where ${pid}::int4 in (a.pid, a.leader_pid) -- a parallel worker may wait for its leader
        and coalesce(a.wait_event_type = 'Lock', a.state is null) -- another role's: not shown
    ), blocker as materialized (
      select distinct b.pid from pg_catalog.unnest(
        case when exists (select from waiting) then pg_catalog.pg_blocking_pids(${pid}::int4) end
      ) as b (pid)
    ), lock as materialized (
      select * from pg_catalog.pg_locks where exists (select from blocker)
    ), waited as materialized (
      select l.* from lock as l join waiting as w on w.pid = l.pid where not l.granted
      order by l.pid <> ${pid}::int4 limit 1
    ), ${tablesInQuestion}, mode (name, level, conflicting) as (${modes})
    select pg_catalog.array_to_json(array(
      select pg_catalog.json_strip_nulls(pg_catalog.json_build_object('pid', h.pid,
        'applicationName', nullif(h.application_name, ''), 'role', h.role, 'state', h.state,
        'transactionAgeMs', pg_catalog.round(1000 * extract(epoch from pg_catalog.clock_timestamp() - h.since)),
        'lockMode', l.mode, 'relation', l.relation, 'query', pg_catalog.left(h.query, 2000)))
      from (${sessions} union all ${preparedTransactions}) as h
      left join lateral (${lockInTheWay}) as l on true
      where h.pid <> 0 or h.transaction = (select transactionid from waited) or l.conflicts
      order by l.granted desc nulls last, h.since nulls last, h.pid
    ))::text as document`;
}

// Waits for a row and those of `concurrently` are waits for the end of a transaction, whose lock on itself tells
// nothing. The row's table is that of our own tuple lock; what is done concurrently has its table locked like this.
const tablesInQuestion = sql.fragment`
  tables as materialized (
    select relation as oid from waited where relation is not null
    union
    select c.oid from waited as w join lock as l on l.pid = w.pid and l.granted
    join pg_catalog.pg_class as c on c.oid = l.relation and c.relkind in ('r', 'p', 'm')
    where w.locktype in ('transactionid', 'virtualxid')
      and (l.locktype = 'tuple' or l.locktype = 'relation' and l.mode = 'ShareUpdateExclusiveLock')
  )`;

/** PostgreSQL's lock modes from weak to strong, and the levels that each one conflicts with. */
const modes = sql.fragment`
  values ('AccessShareLock', 1, array[8]),
    ('RowShareLock', 2, array[7, 8]),
    ('RowExclusiveLock', 3, array[5, 6, 7, 8]),
    ('ShareUpdateExclusiveLock', 4, array[4, 5, 6, 7, 8]),
    ('ShareLock', 5, array[3, 4, 6, 7, 8]),
    ('ShareRowExclusiveLock', 6, array[3, 4, 5, 6, 7, 8]),
    ('ExclusiveLock', 7, array[2, 3, 4, 5, 6, 7, 8]),
    ('AccessExclusiveLock', 8, array[1, 2, 3, 4, 5, 6, 7, 8])`;

const sessions = sql.fragment`
  select b.pid, null::text as virtualtransaction, null::xid as transaction, a.application_name, a.usename as role,
    a.state, a.xact_start as since, a.query
  from blocker as b join pg_catalog.pg_stat_activity as a on a.pid = b.pid`;

/** All of them, where one is a blocker: pg_blocking_pids does not say which. */
const preparedTransactions = sql.fragment`
  select b.pid, l.virtualtransaction, p.transaction, null, p.owner,
    'prepared transaction ' || pg_catalog.quote_literal(p.gid), p.prepared, null
  from blocker as b cross join pg_catalog.pg_prepared_xacts as p
  join lock as l on l.pid is null and l.locktype = 'transactionid' and l.transactionid = p.transaction
  where b.pid = 0`;

/** Of the locks that a holder has or wants on what we wait for: the one that explains it best. */
const lockInTheWay = sql.fragment`
  select l.mode, l.granted, their.conflicting @> array[our.level] as conflicts, (
      select pg_catalog.format('%I.%I', n.nspname, c.relname)
      from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
      where c.oid = l.relation
    ) as relation
  from waited as w join mode as our on our.name = w.mode cross join lock as l join mode as their on their.name = l.mode
  where coalesce(l.pid, 0) = h.pid and l.virtualtransaction = coalesce(h.virtualtransaction, l.virtualtransaction)
    and (l.locktype = 'relation' and l.relation in (select oid from tables)
      or (l.locktype, l.database, l.classid, l.objid, l.objsubid)
        = (w.locktype, w.database, w.classid, w.objid, w.objsubid))
  order by conflicts desc, l.granted desc, their.level desc
  limit 1`;

function shorten({ query = '', ...facts }: Blocker): Blocker {
  const words = firstWords(query);
  return words ? { ...facts, query: words } : facts;
}

function firstWords(query: string): string {
  if (query === '<insufficient privilege>') return '';
  const told = query.replace(/(\bpassword\s+)'(?:[^']|'')*'?/gi, "$1'…'");
  const characters = [...told.replace(/\s+/g, ' ').trim()]; // by code points, so that no character is cut in two
  if (characters.length <= queryLength) return characters.join('');
  return `${characters
    .slice(0, queryLength - 1)
    .join('')
    .trimEnd()}…`;
}
