// What a script has left in its session: found out before the session is reset, and told by name.

import pg from 'pg';
import { type Queryable, readDocument, trusted } from './query.ts';
import { sql } from './sql.ts';

/** The lock's key as pg_locks has it: two halves of one number, or, with an `objsubid` of 2, two numbers. */
export interface AdvisoryLock {
  readonly classid: number;
  readonly objid: number;
  readonly objsubid: number;
  readonly mode: string;
}

export interface TemporaryObject {
  /** As PostgreSQL calls it, such as `table`, `view` and `function`. */
  readonly kind: string;
  /** Quoted where it has to be; a function's with the types of its arguments. */
  readonly name: string;
}

/** Names only: a setting's value may be a secret. */
export interface Leaks {
  readonly settings: readonly string[];
  /** The role that the session is in now, `none` for its user's own; absent when it is the one to keep. */
  readonly role?: string;
  /** The user that the session is of now; absent when it is the one that logged in. */
  readonly sessionAuthorization?: string;
  readonly temporaryObjects: readonly TemporaryObject[];
  readonly preparedStatements: readonly string[];
  readonly cursors: readonly string[];
  readonly channels: readonly string[];
  /** Within a transaction its own are among them: PostgreSQL does not tell the two apart. */
  readonly advisoryLocks: readonly AdvisoryLock[];
}

/**
 * A query without parameters for one row with one column `document`, to be sent ahead of what resets the session.
 *
 * @param lockKey The runner's own lock.
 * @param kept What the session is meant to be set to, with values as `current_setting` shows them; `role` too.
 */
export function leaksSql(
  lockKey: bigint,
  kept: readonly { readonly name: string; readonly value: string }[],
): string {
  return `
    with kept as (
      select k.name, k.value
      from pg_catalog.jsonb_to_recordset(${pg.escapeLiteral(JSON.stringify(kept))}) as k (name pg_catalog.text, value pg_catalog.text)
    )
    select pg_catalog.json_strip_nulls(pg_catalog.json_build_object(
      'settings', array(${settingsSql}),
      'role', (${roleSql}),
      'sessionAuthorization', (${sessionAuthorizationSql}),
      'temporaryObjects', array(${temporaryObjectsSql}),
      'preparedStatements', array(select name from pg_catalog.pg_prepared_statements where from_sql order by 1),
      'cursors', array(select name from pg_catalog.pg_cursors where is_holdable and name <> '' order by 1),
      'channels', array(select channel from pg_catalog.pg_listening_channels() as channel order by 1),
      'advisoryLocks', array(${advisoryLocksSql(lockKey)})
    ))::pg_catalog.text as document`;
}

// A script may also have reset what was meant to be kept. PostgreSQL does not list settings that no module has declared.
const settingsSql = `
  select s.name from pg_catalog.pg_settings as s
  where (s.source = 'session' or s.name in (select k.name from kept as k))
    and s.name not in ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable')
    and not exists (
      select from kept as k where k.name = s.name and k.value = pg_catalog.current_setting(s.name)
    )
  order by 1`;

const roleSql = `
  select r.name from pg_catalog.current_setting('role') as r (name)
  where not exists (select from kept as k where k.name = 'role' and k.value = r.name)
    and (r.name <> 'none' or exists (select from kept as k where k.name = 'role'))`;

// The server's list of sessions goes on telling who logged in.
const sessionAuthorizationSql = `
  select session_user from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) as a
  where session_user <> pg_catalog.pg_get_userbyid(a.usesysid)`;

/** What depends on the schema is in it; left out is what comes with another, as a sequence with a table. */
const temporaryObjectsSql = `
  select pg_catalog.json_build_object(
    'kind', o.type, 'name', coalesce(o.name, pg_catalog.regexp_replace(o.identity, '^[^.]+[.]', ''))
  )
  from pg_catalog.pg_depend as d cross join pg_catalog.pg_identify_object(d.classid, d.objid, d.objsubid) as o
  where d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass and d.refobjid = pg_catalog.pg_my_temp_schema()
    and not exists (
      select from pg_catalog.pg_depend as i
      where i.classid = d.classid and i.objid = d.objid and i.objsubid = 0
        and (i.deptype = 'i' or i.deptype = 'a' and o.type = 'sequence')
    )
  order by o.type, o.identity`;

function advisoryLocksSql(lockKey: bigint): string {
  return `
    select pg_catalog.json_build_object(
      'classid', l.classid::bigint, 'objid', l.objid::bigint, 'objsubid', l.objsubid, 'mode', l.mode
    )
    from pg_catalog.pg_locks as l
    where l.locktype = 'advisory' and l.granted and l.pid = pg_catalog.pg_backend_pid()
      and not (l.objsubid = 1 and (l.classid::bigint << 32) | l.objid::bigint = '${lockKey}'::bigint)
    order by l.classid::bigint, l.objid::bigint, l.objsubid, l.mode`;
}

/** A few words for each, such as `temporary table scratch`. */
export function describeLeaks(leaks: Leaks): readonly string[] {
  const { role, sessionAuthorization } = leaks;
  return [
    ...leaks.settings.map((name) => `setting ${name}`),
    ...(role === undefined ? [] : [`role ${role}`]),
    ...(sessionAuthorization === undefined ? [] : [`session authorization ${sessionAuthorization}`]),
    ...leaks.temporaryObjects.map(({ kind, name }) => `temporary ${kind} ${name}`),
    ...leaks.preparedStatements.map((name) => `prepared statement ${name}`),
    ...leaks.cursors.map((name) => `cursor ${name}`),
    ...leaks.channels.map((name) => `channel ${name}`),
    ...leaks.advisoryLocks.map(describeLock),
  ];
}

/** A few words, such as `shared advisory lock 42`. */
export function describeLock({ classid, objid, objsubid, mode }: AdvisoryLock): string {
  const key =
    objsubid === 1
      ? BigInt.asIntN(64, (BigInt(classid) << 32n) | BigInt(objid))
      : `(${classid | 0}, ${objid | 0})`; // an oid has no sign, the number given had one
  return `${mode === 'ShareLock' ? 'shared ' : ''}advisory lock ${key}`;
}

/** Releases advisory locks of the session, however often each one is held. */
export async function releaseAdvisoryLocks(
  connection: Queryable,
  locks: readonly AdvisoryLock[],
): Promise<void> {
  if (locks.length === 0) return;
  const query = releaseOnce(locks);
  while ((await readDocument(connection, query, trusted<number>())) > 0);
}

// Looks what is held first: to release what is not is a warning. That pg_locks is read before anything is released
// and only once, and that no other lock is touched, is what `materialized` is for.
function releaseOnce(locks: readonly AdvisoryLock[]) {
  return sql.unsafe`
    with held as materialized (
      select l.classid, l.objid, l.objsubid, l.mode, (l.classid::bigint << 32) | l.objid::bigint as key
      from pg_catalog.pg_locks as l
      join pg_catalog.jsonb_to_recordset(${JSON.stringify(locks)}::jsonb)
        as k (classid bigint, objid bigint, objsubid int, mode text)
        on (k.classid, k.objid, k.objsubid, k.mode) = (l.classid::bigint, l.objid::bigint, l.objsubid, l.mode)
      where l.locktype = 'advisory' and l.granted and l.pid = pg_catalog.pg_backend_pid()
    )
    select pg_catalog.count(*) filter (where case
      when h.objsubid = 1 and h.mode = 'ShareLock' then pg_catalog.pg_advisory_unlock_shared(h.key)
      when h.objsubid = 1 then pg_catalog.pg_advisory_unlock(h.key)
      when h.mode = 'ShareLock' then pg_catalog.pg_advisory_unlock_shared(h.classid::int, h.objid::int)
      else pg_catalog.pg_advisory_unlock(h.classid::int, h.objid::int)
    end)::text as document
    from held as h`;
}
