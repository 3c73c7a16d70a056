// What the server tells of a new session, and what the session is set to, in one round trip.

import { longestDurationMs } from '../core/duration.ts';
import { type HistoryTable, parseTableState, type TableState } from './history-table.ts';
import { type Queryable, readDocument, trusted } from './query.ts';
import { type Fragment, sql } from './sql.ts';

/** A setting of the session, with its value as PostgreSQL shows it. */
export interface Setting {
  readonly name: string;
  readonly value: string;
}

/** What a session of ours is set to. */
export interface SessionSettings {
  readonly applicationName: string;
  /** PostgreSQL's lock_timeout in milliseconds; undefined leaves it. */
  readonly lockTimeoutMs: number | undefined;
  /** After this many milliseconds the server takes a client that no longer answers for lost; 0 leaves the server's own. */
  readonly keepaliveMs: number;
}

/** Whether what is set on a session holds: not behind a transaction pooler. Told by the pid if need be. */
export type Holding = 'always' | 'never' | { readonly whenBackendIs: number };

export interface SessionFacts {
  readonly backendPid: number;
  readonly database: string;
  readonly role: string;
  readonly serverVersion: string;
  readonly serverVersionNumber: number;
  readonly readOnly: boolean;
  readonly mayReadLocks: boolean;
  readonly mayCreateHistory: boolean;
  readonly relation: Relation | null;
}

interface Relation {
  readonly kind: string;
  readonly comment: string | null;
  readonly writable: boolean;
}

/** Reads the facts, and makes the session fit for long work where that holds. */
export async function readSessionFacts(
  connection: Queryable,
  historyTable: HistoryTable,
  settings: SessionSettings,
  holding: Holding,
): Promise<SessionFacts> {
  const schema = sql.fragment`pg_catalog.to_regnamespace(pg_catalog.quote_ident(${historyTable.schema}))`;
  return readDocument(
    connection,
    sql.unsafe`
      select pg_catalog.json_build_object(
        'backendPid', pg_catalog.pg_backend_pid(),
        'database', pg_catalog.current_database(),
        'role', current_user,
        'serverVersion', pg_catalog.current_setting('server_version'),
        'serverVersionNumber', pg_catalog.current_setting('server_version_num')::int,
        'readOnly', pg_catalog.current_setting('transaction_read_only') = 'on',
        'mayReadLocks', pg_catalog.has_table_privilege('pg_catalog.pg_locks', 'select')
          and pg_catalog.has_function_privilege('pg_catalog.pg_lock_status()', 'execute'),
        'mayCreateHistory', case when ${schema} is null
          then pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')
          else pg_catalog.has_schema_privilege(${schema}, 'create') end,
        'relation', (${relationQuery(historyTable)}),
        'settings', (${settingsQuery(ownSettings(settings), 'session', conditionOf(holding))})
      )::text as document`,
    trusted<SessionFacts>(),
  );
}

export async function readTableState(connection: Queryable, table: HistoryTable): Promise<TableState> {
  const query = sql.unsafe`select (select pg_catalog.json_build_object('relation', (${relationQuery(table)})))::text as document`;
  const { relation } = await readDocument(connection, query, trusted<Pick<SessionFacts, 'relation'>>());
  return parseTableState(relation);
}

function relationQuery({ schema, table }: HistoryTable): Fragment {
  return sql.fragment`
    select pg_catalog.json_build_object('kind', c.relkind,
      'comment', pg_catalog.obj_description(c.oid, 'pg_class'),
      'writable', pg_catalog.has_table_privilege(c.oid, 'insert') and pg_catalog.has_table_privilege(c.oid, 'update')
        and pg_catalog.has_table_privilege(c.oid, 'delete'))
    from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = ${schema} and c.relname = ${table}`;
}

/** What the session has that is not its login's: what is ours, and what an interceptor or a trigger set on connecting. */
export const keptQuery = settingsOfSession(sql.fragment`true`);

/** Those of them that `reset all` would change. */
export const changedQuery = settingsOfSession(sql.fragment`setting is distinct from reset_val`);

function settingsOfSession(condition: Fragment): Fragment {
  return sql.fragment`
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('name', k.name, 'value', k.value)), '[]')
    from (
      select name, pg_catalog.current_setting(name) as value from pg_catalog.pg_settings
      where source = 'session' and context in ('user', 'superuser') and ${condition}
        and name not in ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable')
      union all
      select 'role', pg_catalog.current_setting('role') where pg_catalog.current_setting('role') <> 'none'
    ) as k`;
}

const patience: readonly Setting[] = [
  { name: 'statement_timeout', value: '0' },
  { name: 'idle_in_transaction_session_timeout', value: '0' },
  { name: 'transaction_timeout', value: '0' },
  { name: 'client_connection_check_interval', value: '1s' },
];

function ownSettings({ applicationName, lockTimeoutMs, keepaliveMs }: SessionSettings): readonly Setting[] {
  const seconds = (share: number) => String(Math.max(1, Math.round((keepaliveMs * share) / 1_000)));
  return [
    { name: 'application_name', value: applicationName },
    ...patience,
    { name: 'idle_session_timeout', value: '0' },
    ...lockTimeoutSetting(lockTimeoutMs),
    ...(keepaliveMs > 0
      ? [
          { name: 'tcp_keepalives_idle', value: seconds(0.2) },
          { name: 'tcp_keepalives_interval', value: seconds(0.1) },
          { name: 'tcp_keepalives_count', value: '3' },
          { name: 'tcp_user_timeout', value: String(Math.ceil(keepaliveMs / 2)) },
        ]
      : []),
  ];
}

function lockTimeoutSetting(lockTimeoutMs: number | undefined): readonly Setting[] {
  return lockTimeoutMs === undefined ? [] : [{ name: 'lock_timeout', value: `${wholeMs(lockTimeoutMs)}ms` }];
}

/** As PostgreSQL counts them, in 31 bits; what is less than one would be none. */
export function wholeMs(ms: number): number {
  return Math.min(Math.ceil(ms), longestDurationMs);
}

/** What a transaction behind a pooler is set to, for its own time. */
export function localSettings(lockTimeoutMs: number | undefined): readonly Setting[] {
  return [...patience, ...lockTimeoutSetting(lockTimeoutMs)];
}

/** Sets what this PostgreSQL knows of the settings, and gives them as it shows them. */
export function settingsQuery(
  settings: readonly Setting[],
  scope: 'session' | 'transaction',
  condition: Fragment = sql.fragment`true`,
): Fragment {
  // Not every system can look for lost clients.
  return sql.fragment`
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('name', s.name, 'value',
      pg_catalog.set_config(s.name, s.value, ${scope === 'transaction'}))), '[]')
    from pg_catalog.jsonb_to_recordset(${JSON.stringify(settings)}::jsonb) as s (name text, value text)
    where pg_catalog.current_setting(s.name, true) is not null and ${condition}
      and (s.name <> 'client_connection_check_interval' or pg_catalog.version() !~* 'windows|mingw|visual c|msvc|apple|darwin')`;
}

function conditionOf(holding: Holding): Fragment {
  if (holding === 'always') return sql.fragment`true`;
  if (holding === 'never') return sql.fragment`false`;
  return sql.fragment`pg_catalog.pg_backend_pid() = ${holding.whenBackendIs}`;
}
