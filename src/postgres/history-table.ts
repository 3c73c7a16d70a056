import { alterationId, parseAlterationId } from '../core/alteration.ts';
import { HistoryError, type Problem } from '../core/errors.ts';
import type { History, HistoryRow, Renaming } from '../core/history.ts';
import { next, parseReleasedVersion } from '../core/version.ts';
import { now } from '../now.ts';
import type { Connection, Transaction } from './connection.ts';
import { findDatabaseFailure } from './database-failure.ts';
import { type Queryable, rawQuery, readDocument } from './query.ts';
import { type Fragment, type Query, sql } from './sql.ts';

/** Where the history is kept. */
export interface HistoryTable {
  readonly schema: string;
  readonly table: string;
}

/** What a run writes into its rows besides the alteration itself. */
export interface Origin {
  readonly host: string;
  readonly runner: string;
  readonly deployId: string;
}

/** What becomes a row. */
export interface AlterationRecord {
  readonly id: string;
  readonly version: string;
  readonly name: string;
  readonly checksum: string;
  /** Of a module whose text tells for sure what it imports. */
  readonly sourceDigest?: string;
  /** When it began, by `now()`. */
  readonly startedAt: number;
}

/** What the catalog tells of the table: absent, ours of a version, or something else. */
export type TableState =
  | { readonly kind: 'absent' }
  | { readonly kind: 'history'; readonly version: number }
  | { readonly kind: 'foreign' };

const identifierOf = ({ schema, table }: HistoryTable) => sql.identifier([schema, table]);

/** The steps by which the table came to its present shape; a table of version n has had the first n. */
const upgrades = [
  (table: HistoryTable) => sql.unsafe`
    create table ${identifierOf(table)} (
      "timestamp" text not null,
      version text not null,
      name text not null,
      checksum text not null,
      applied_at timestamptz not null default pg_catalog.clock_timestamp(),
      duration_ms bigint not null,
      role text not null default current_user,
      host text not null,
      runner text not null,
      deploy_id uuid not null,
      primary key ("timestamp")
    )`,
  (table: HistoryTable) => sql.unsafe`
    alter table ${identifierOf(table)}
      add column state text not null default 'applied' check (state in ('applied', 'started', 'reverting')),
      add column statement_digests text[]`,
  (table: HistoryTable) => sql.unsafe`
    alter table ${identifierOf(table)} add column statement_under_way text`,
  (table: HistoryTable) => sql.unsafe`
    alter table ${identifierOf(table)} add column source_digest text`,
];

/** Version of the table that this runner writes. */
export const historyTableVersion = upgrades.length;

const commentPattern = /^alteration history, version (\d+)$/;

/** Reads from kind and comment of the relation, as the catalog has them, what it is. */
export function parseTableState(relation: { kind: string; comment: string | null } | null): TableState {
  if (!relation) return { kind: 'absent' };
  const version = commentPattern.exec(relation.comment ?? '')?.[1];
  const isTable = relation.kind === 'r' || relation.kind === 'p';
  return isTable && version ? { kind: 'history', version: Number(version) } : { kind: 'foreign' };
}

/** Throws a HistoryError unless the table is absent or one that this runner can read. */
export function requireKnownTable(table: HistoryTable, state: TableState): void {
  const name = `"${table.schema}.${table.table}"`;
  if (state.kind === 'foreign') {
    throw new HistoryError(`${name} exists and is not an alteration history.`, {
      hint: 'Choose another table with --history-table or --history-schema. If it is the history and has lost its comment, restore the comment: see "The history table" in the documentation.',
    });
  }
  if (state.kind === 'history' && state.version > historyTableVersion) {
    throw new HistoryError(
      `${name} was written by a newer runner (table version ${state.version}; this one knows up to ${historyTableVersion}).`,
      { hint: 'Nothing was changed. Use the newer runner.' },
    );
  }
}

/** Reads all rows. Throws a HistoryError that names every row that makes no sense. */
export async function readHistory(
  connection: Queryable,
  table: HistoryTable,
  state: TableState,
): Promise<History> {
  requireKnownTable(table, state);
  if (state.kind === 'absent') return [];
  const columns = columnsOf(state);
  // As arrays: the server takes several times as long to write objects, and half of their text would be names of columns.
  const query = sql.unsafe`
    select coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(${listColumns(columns)})), '[]')::text as document
    from ${identifierOf(table)} as h`;
  try {
    return await readDocument(connection, query, { parse: (rows) => parseRows(rows, columns, table) });
  } catch (error) {
    throw isUndefinedColumn(error)
      ? senseless(table, [{ message: `Of every row: ${findDatabaseFailure(error)?.message}.` }], error)
      : error;
  }
}

function isUndefinedColumn(error: unknown): boolean {
  return findDatabaseFailure(error)?.sqlState === '42703';
}

/** Creates the table, or brings it to this runner's version. Call inside a transaction and under the lock. */
export async function upgradeHistoryTable(transaction: Queryable, table: HistoryTable, state: TableState) {
  requireKnownTable(table, state);
  const version = state.kind === 'history' ? state.version : 0;
  if (version === historyTableVersion) return;
  if (version === 0) await createSchema(transaction, table);
  for (const upgrade of upgrades.slice(version)) await transaction.query(upgrade(table));
  await commentTable(transaction, table, historyTableVersion);
}

/** Creates the table as the runner of an older table version made it: what an upgrade starts from. */
export async function createHistoryTableOfVersion(
  transaction: Queryable,
  table: HistoryTable,
  version: number,
) {
  for (const upgrade of upgrades.slice(0, version)) await transaction.query(upgrade(table));
  await commentTable(transaction, table, version);
}

/** A change of one row, which fails where there is no such row to change. */
export interface RowChange {
  /**
   * @param startedAt When the transaction began in which it runs, by `now()`.
   * @param isBegun Whether there is a row that an earlier part of the alteration has left.
   */
  readonly queries: (startedAt: number, isBegun: boolean) => readonly Query[];
  /** What its failure means; undefined when it means nothing more than it says. */
  readonly refusal: (error: unknown) => HistoryError | undefined;
}

/** Makes the change that ends an alteration outside of a transaction. */
export async function changeRow(
  connection: Pick<Connection, 'transaction'>,
  change: RowChange,
): Promise<void> {
  const work = async (transaction: Transaction) => {
    for (const query of change.queries(transaction.startedAt(), true)) transaction.defer(query);
  };
  await connection.transaction(work).catch((error: unknown) => {
    throw change.refusal(error) ?? error;
  });
}

/** Records an alteration as applied; it belongs into the alteration's own transaction. */
export function applied(table: HistoryTable, record: AlterationRecord, origin: Origin): RowChange {
  return {
    queries: (startedAt, isBegun) => [
      appliedQuery(
        table,
        record,
        origin,
        startedAt - record.startedAt,
        isBegun ? finish : sql.fragment`nothing`,
      ),
    ],
    refusal: (error) => (isNoRow(error) ? appliedMeanwhile(record.id) : undefined),
  };
}

function appliedQuery(
  table: HistoryTable,
  record: AlterationRecord,
  origin: Origin,
  beforeMs: number,
  onConflict: Fragment,
): Query {
  return oneRow(sql.fragment`
    insert into ${identifierOf(table)} as h
      ("timestamp", version, name, checksum, source_digest, duration_ms, host, runner, deploy_id, state)
    values (${record.id}, ${record.version}, ${record.name}, ${record.checksum}, ${record.sourceDigest ?? null},
      ${beforeMs} + 1000 * pg_catalog.date_part('epoch',
        pg_catalog.clock_timestamp() - pg_catalog.transaction_timestamp()),
      ${origin.host}, ${origin.runner}, ${origin.deployId}, 'applied')
    on conflict ("timestamp") do ${onConflict}
    returning 1`);
}

/** For a row that an earlier part has left; where there is none it would be planned in vain, for each alteration. */
const finish = sql.fragment`update set
  version = excluded.version, name = excluded.name, checksum = excluded.checksum, source_digest = excluded.source_digest,
  applied_at = pg_catalog.clock_timestamp(), duration_ms = h.duration_ms + excluded.duration_ms, role = current_user,
  host = excluded.host, runner = excluded.runner, deploy_id = excluded.deploy_id,
  state = 'applied', statement_digests = null, statement_under_way = null
  where h.state = 'started'`;

/** It may be sent along with its commit: where it gives no row, it fails, whatever is in `search_path`. */
function oneRow(rows: Fragment): Query {
  return sql.unsafe`
    with change as (${rows})
    select case when (select true from change) then '1' else ${noRow}::pg_catalog.text end::pg_catalog.int4`;
}

const noRow = 'there is no row of the alteration';

function isNoRow(error: unknown): boolean {
  const { sqlState, message } = findDatabaseFailure(error) ?? {};
  return sqlState === '22P02' && message?.includes(noRow) === true;
}

/** How far an alteration is that runs statement by statement. */
export interface StatementJournal {
  /** Digests of what is done. */
  readonly done: readonly string[];
  /** Digest of the statement that is about to run, where its effect was not there before. */
  readonly underWay?: string;
}

/** Records how far an alteration is that runs statement by statement, before its next statement. */
export async function recordStarted(
  connection: Queryable,
  table: HistoryTable,
  record: AlterationRecord,
  origin: Origin,
  { done, underWay }: StatementJournal,
) {
  const digests = sql.array(done);
  const { rowCount } = await connection.query(sql.unsafe`
    insert into ${identifierOf(table)} as h
      ("timestamp", version, name, checksum, source_digest, duration_ms, host, runner, deploy_id, state,
       statement_digests, statement_under_way)
    values (${record.id}, ${record.version}, ${record.name}, ${record.checksum}, ${record.sourceDigest ?? null},
      ${Math.round(now() - record.startedAt)}, ${origin.host}, ${origin.runner}, ${origin.deployId}, 'started',
      ${digests}, ${underWay ?? null})
    on conflict ("timestamp") do update set
      checksum = excluded.checksum, source_digest = excluded.source_digest, statement_digests = excluded.statement_digests,
      statement_under_way = excluded.statement_under_way,
      applied_at = pg_catalog.clock_timestamp(), deploy_id = excluded.deploy_id
    where h.state = 'started'`);
  if (rowCount !== 1) throw appliedMeanwhile(record.id);
}

/** Records applied alterations that nothing is run for, in one statement. */
export async function recordBaseline(
  transaction: Queryable,
  table: HistoryTable,
  records: readonly Omit<AlterationRecord, 'startedAt'>[],
  origin: Origin,
) {
  await transaction.query(sql.unsafe`
    insert into ${identifierOf(table)}
      ("timestamp", version, name, checksum, source_digest, duration_ms, host, runner, deploy_id, state)
    select id, version, name, checksum, "sourceDigest", 0, ${origin.host}, ${origin.runner}, ${origin.deployId}, 'applied'
    from ${textRows(records, ['id', 'version', 'name', 'checksum', 'sourceDigest'])}`);
}

/** Records how far an alteration is that is taken back statement by statement, before its next statement. */
export async function recordReverting(
  connection: Queryable,
  table: HistoryTable,
  id: string,
  { done, underWay }: StatementJournal,
) {
  const { rowCount } = await connection.query(sql.unsafe`
    update ${identifierOf(table)}
    set state = 'reverting', statement_digests = ${sql.array(done)},
      statement_under_way = ${underWay ?? null}
    where "timestamp" = ${id} and state in ('applied', 'reverting')`);
  if (rowCount !== 1) throw rowDisappeared(id);
}

/** Removes the row of an alteration that is being rolled back; it belongs into the same transaction. */
export function removed(table: HistoryTable, id: string): RowChange {
  const row = sql.fragment`from ${identifierOf(table)} where "timestamp" = ${id}`;
  return {
    // Looked at before and after: with rules on its table, a deletion cannot give what it has deleted.
    queries: () => [
      oneRow(sql.fragment`select ${row}`),
      sql.unsafe`delete ${row}`,
      oneRow(sql.fragment`select where not exists (select ${row})`),
    ],
    refusal: (error) => (isNoRow(error) ? rowDisappeared(id) : undefined),
  };
}

/** Brings rows up to date with renamed files. */
export async function renameRows(
  transaction: Queryable,
  table: HistoryTable,
  renamings: readonly Renaming[],
) {
  if (renamings.length === 0) return;
  await transaction.query(sql.unsafe`
    update ${identifierOf(table)} as h set version = t.version, name = t.name
    from ${textRows(
      renamings.map(({ alteration }) => alteration),
      ['id', 'version', 'name'],
    )}
    where h."timestamp" = t.id`);
}

/** Records the checksums of edited files that the user accepts. */
export async function recordChecksums(
  transaction: Queryable,
  table: HistoryTable,
  checksums: readonly Pick<AlterationRecord, 'id' | 'checksum' | 'sourceDigest'>[],
) {
  if (checksums.length === 0) return;
  await transaction.query(sql.unsafe`
    update ${identifierOf(table)} as h set checksum = t.checksum, source_digest = t."sourceDigest"
    from ${textRows(checksums, ['id', 'checksum', 'sourceDigest'])}
    where h."timestamp" = t.id`);
}

/** Rows named `t` of text columns, null where there is nothing. As JSON, since a qualified unnest, which nobody can shadow, takes one array only. */
function textRows<Name extends string>(
  rows: readonly { readonly [Column in Name]?: string }[],
  names: readonly Name[],
) {
  const picked = rows.map((row) => Object.fromEntries(names.map((name) => [name, row[name]])));
  const columns = names.map((name) => sql.fragment`${sql.identifier([name])} text`);
  return sql.fragment`pg_catalog.jsonb_to_recordset(${JSON.stringify(picked)}::jsonb) as t (${sql.join(columns, sql.fragment`, `)})`;
}

/** Asks before it creates: `if not exists` wants the right to create schemas even where there is nothing to create. */
async function createSchema(transaction: Queryable, { schema }: HistoryTable) {
  const { rowCount } = await transaction.query(
    sql.unsafe`select from pg_catalog.pg_namespace where nspname = ${schema}`,
  );
  if (rowCount === 0) await transaction.query(sql.unsafe`create schema ${sql.identifier([schema])}`);
}

async function commentTable(transaction: Queryable, table: HistoryTable, version: number) {
  const name = [table.schema, table.table].map((part) => `"${part.replaceAll('"', '""')}"`).join('.');
  await transaction.query(rawQuery(`comment on table ${name} is 'alteration history, version ${version}'`));
}

function rowDisappeared(id: string): HistoryError {
  return new HistoryError(
    `The history row of "${id}" disappeared while its alteration was being rolled back.`,
    {
      hint: 'Look for somebody who edits the history by hand, and run the rollback again.',
    },
  );
}

function appliedMeanwhile(id: string): HistoryError {
  return new HistoryError(`Alteration ${id} has been recorded as applied by somebody else in the meantime.`, {
    hint: 'It was rolled back here. Only one runner may alter a database at a time: do all of them use the same history schema and table?',
  });
}

/** A column with what holds for its values, and the table version that brought it. */
interface Column extends Rule {
  readonly name: string;
  readonly since: number;
}

interface Rule {
  readonly holds: (value: unknown) => boolean;
  /** What is said of a value for which it does not hold. */
  readonly otherwise: string;
}

const isText = (value: unknown): value is string => typeof value === 'string';
const text: Rule = { holds: isText, otherwise: 'is not a text' };
const textOrNone: Rule = { holds: (value) => value == null || isText(value), otherwise: 'is not a text' };

const allColumns: readonly Column[] = [
  { name: 'timestamp', since: 1, holds: isCanonicalId, otherwise: 'is not a timestamp' },
  { name: 'version', since: 1, holds: isVersion, otherwise: 'is not a version' },
  { name: 'name', since: 1, ...text },
  { name: 'checksum', since: 1, ...text },
  { name: 'applied_at', since: 1, holds: isMoment, otherwise: 'is not a moment' },
  { name: 'duration_ms', since: 1, holds: Number.isFinite, otherwise: 'is not a number' },
  { name: 'role', since: 1, ...text },
  { name: 'host', since: 1, ...text },
  { name: 'runner', since: 1, ...text },
  { name: 'deploy_id', since: 1, ...text },
  { name: 'state', since: 2, holds: isState, otherwise: 'is not a state' },
  { name: 'statement_digests', since: 2, holds: areTextsOrNone, otherwise: 'is not a list of texts' },
  { name: 'statement_under_way', since: 3, ...textOrNone },
  { name: 'source_digest', since: 4, ...textOrNone },
];

function columnsOf(state: TableState): readonly Column[] {
  const version = state.kind === 'history' ? state.version : 0;
  return allColumns.filter(({ since }) => since <= version);
}

function listColumns(columns: readonly Column[]) {
  return sql.join(
    columns.map(({ name }) => sql.identifier(['h', name])),
    sql.fragment`, `,
  );
}

function isVersion(value: unknown): boolean {
  return value === next || (isText(value) && parseReleasedVersion(value) === value);
}

function isMoment(value: unknown): boolean {
  return isText(value) && !Number.isNaN(Date.parse(value));
}

function isState(value: unknown): boolean {
  return value === 'applied' || value === 'started' || value === 'reverting';
}

function areTextsOrNone(value: unknown): boolean {
  return value == null || (Array.isArray(value) && value.every(isText));
}

/** Another spelling of the same timestamp would be another row: its alteration would be run again. */
function isCanonicalId(value: unknown): boolean {
  const parsed = isText(value) ? parseAlterationId(value) : undefined;
  return parsed !== undefined && alterationId(parsed.seconds, parsed.suffix) === value;
}

function parseRows(rows: unknown, columns: readonly Column[], table: HistoryTable): History {
  const problems: Problem[] = [];
  const history: HistoryRow[] = [];
  const seen = new Set<string>();
  const describe = rowReader(columns);
  for (const row of Array.isArray(rows) ? rows : [rows]) {
    const values: readonly unknown[] = Array.isArray(row) ? row : [];
    const problem = describeRowProblem(values, columns);
    if (problem !== undefined) {
      problems.push({ message: problem });
      continue;
    }
    const described = describe(values);
    history.push(described);
    seen.add(described.id);
  }
  if (seen.size < history.length) problems.push(...findDoubles(history));
  if (problems.length > 0) throw senseless(table, problems);
  return history;
}

function senseless({ schema, table }: HistoryTable, problems: readonly Problem[], cause?: unknown) {
  return new HistoryError(`The history "${schema}.${table}" has rows that make no sense.`, {
    problems,
    hint: 'Nothing was changed. Correct the rows: has somebody edited the table by hand?',
    ...(cause ? { cause } : {}),
  });
}

function describeRowProblem(values: readonly unknown[], columns: readonly Column[]): string | undefined {
  let index = 0;
  for (const { holds } of columns) {
    if (!holds(values[index])) break; // of thousands of rows most are as they should be
    index += 1;
  }
  if (index === columns.length) return undefined;
  const wrong = columns.filter(({ holds }, at) => !holds(values[at]));
  return `Row "${String(values[0])}": ${wrong.map(({ name, otherwise }) => `${name}: ${otherwise}`).join('; ')}.`;
}

/** Makes rows of values that have just been looked at. */
function rowReader(columns: readonly Column[]): (values: readonly unknown[]) => HistoryRow {
  const indexOf = (wanted: string) => columns.findIndex(({ name }) => name === wanted);
  const state = indexOf('state');
  const digests = indexOf('statement_digests');
  const underWay = indexOf('statement_under_way');
  const source = indexOf('source_digest');
  return (values) => {
    const [id, version, name, checksum, appliedAt, durationMs, role, host, runner, deployId] =
      values as unknown as First;
    const { seconds, suffix } = parseAlterationId(id) ?? { seconds: 0, suffix: 0 };
    const row = values as readonly (string | undefined)[];
    return {
      id,
      seconds,
      suffix,
      version,
      name,
      checksum,
      state: (row[state] ?? 'applied') as HistoryRow['state'],
      origin: { appliedAt, durationMs, role, host, runner, deployId },
      statementDigests: (values[digests] ?? []) as readonly string[],
      ...(row[source] ? { sourceDigest: row[source] } : {}),
      ...(row[underWay] ? { statementUnderWay: row[underWay] } : {}),
    };
  };
}

/** The columns that every table version has. */
type First = readonly [string, string, string, string, string, number, string, string, string, string];

function findDoubles(history: History): readonly Problem[] {
  return [...Map.groupBy(history, ({ id }) => id)].flatMap(([id, { length }]) =>
    length > 1 ? [{ message: `Row "${id}": it is there ${length} times.` }] : [],
  );
}
