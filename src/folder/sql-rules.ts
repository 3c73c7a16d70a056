import type { DefElem, Node, PartitionCmd, RangeVar } from 'libpg-query';
import type { ConcurrentWork, QualifiedName } from '../core/concurrent-work.ts';
import type { SqlMode } from './sql-settings.ts';
import { summariseSql } from './sql-text.ts';

type Tag = Node extends infer Variant ? (Variant extends Node ? keyof Variant : never) : never;
type Body<Name extends Tag> = Extract<Node, Record<Name, unknown>>[Name];
/** Each gives the statement's name where the rule holds for it. */
type Rules = { readonly [Name in Tag]?: (statement: Body<Name>) => string | undefined };

/** The tag of a statement in PostgreSQL's parse tree, for example `CreateStmt`. */
export function kindOf(node: Node): string {
  return Object.keys(node)[0] ?? 'unknown';
}

/** Whether PostgreSQL refuses the statement inside a transaction block, as far as the statement itself tells. */
export function isRefusedInTransaction(node: Node): boolean {
  return nameBy(refusedInTransaction, node) !== undefined;
}

/** What the statement does concurrently, if PostgreSQL would refuse it inside a transaction block for that. */
export function concurrentWorkOf(node: Node): ConcurrentWork | undefined {
  if ('IndexStmt' in node) return createdBy(node.IndexStmt);
  if ('DropStmt' in node) return droppedBy(node.DropStmt);
  if ('ReindexStmt' in node) return reindexedBy(node.ReindexStmt);
  return 'AlterTableStmt' in node ? detachedBy(node.AlterTableStmt) : undefined;
}

/** Why a statement cannot stand in a file of that mode, as a sentence with what to do; undefined if it can. */
export function explainRefusal(node: Node, text: string, mode: SqlMode): string | undefined {
  if ('CopyStmt' in node) return explainCopy(node.CopyStmt);
  if (nameBy(unlocking, node) !== undefined) {
    return `"discard all" would release the lock that keeps other instances out; use "reset all" or "discard temp".`;
  }
  return mode === 'transaction' ? explainInTransaction(node, text) : explainOutside(node, text);
}

function explainCopy({ filename, is_from }: Body<'CopyStmt'>): string | undefined {
  if (filename !== undefined) return undefined;
  if (is_from !== true) return '"copy … to stdout" has nowhere to write its rows to; delete it.';
  return '"copy … from stdin" gets no rows, they cannot be sent with the statement; use insert statements, as "pg_dump --inserts" writes them.';
}

function explainInTransaction(node: Node, text: string): string | undefined {
  if ('TransactionStmt' in node && !savepoints.has(node.TransactionStmt.kind)) {
    return `"${summariseSql(text)}" cannot stand in a file that runs in one transaction with its history row; delete it, or use "savepoint" and "rollback to savepoint" for a part that may fail.`;
  }
  const name = nameBy(refusedInTransaction, node);
  if (name === undefined) return undefined;
  return `PostgreSQL refuses "${name}" inside a transaction; put it into a file whose first comment is "-- alteration: no-transaction".`;
}

function explainOutside(node: Node, text: string): string | undefined {
  if ('TransactionStmt' in node) {
    return `"${summariseSql(text)}" cannot stand in a no-transaction file, whose statements are sent and recorded one by one; use a do block, or a file without "-- alteration: no-transaction".`;
  }
  if ('VariableSetStmt' in node && roleSettings.has(node.VariableSetStmt.name)) {
    return `"${summariseSql(text)}" would hold for the journal of this no-transaction file too; connect with that role, or use a file without "-- alteration: no-transaction".`;
  }
  if ('IndexStmt' in node && node.IndexStmt.concurrent === true && node.IndexStmt.idxname === undefined) {
    return `"${summariseSql(text)}" does not name the index: if it does not come to its end, PostgreSQL leaves an invalid index under a name that it chose itself, which a repetition could not find; give it a name.`;
  }
  const name = nameBy(inTransactionOnly, node);
  if (name === undefined) return undefined;
  return `"${name}" does nothing outside a transaction, and this is a no-transaction file; use a do block, or a file without "-- alteration: no-transaction".`;
}

const roleSettings: ReadonlySet<string | undefined> = new Set(['role', 'session_authorization']);

const savepoints: ReadonlySet<string | undefined> = new Set([
  'TRANS_STMT_SAVEPOINT',
  'TRANS_STMT_RELEASE',
  'TRANS_STMT_ROLLBACK_TO',
]);

const unlocking: Rules = {
  DiscardStmt: ({ target }) => (target === 'DISCARD_ALL' ? 'discard all' : undefined),
};

/**
 * Tried one by one on PostgreSQL 15 and 18. What depends on the database is left to it: `drop subscription`
 * without a slot is allowed, `reindex` and `cluster` of a partitioned table are not.
 */
const refusedInTransaction: Rules = {
  ...unlocking,
  VacuumStmt: ({ is_vacuumcmd }) => (is_vacuumcmd === true ? 'vacuum' : undefined),
  ClusterStmt: ({ relation }) => (relation === undefined ? 'cluster' : undefined),
  CreatedbStmt: () => 'create database',
  DropdbStmt: () => 'drop database',
  AlterDatabaseStmt: ({ options }) =>
    findOption(options, 'tablespace') === undefined ? undefined : 'alter database … set tablespace',
  CreateTableSpaceStmt: () => 'create tablespace',
  DropTableSpaceStmt: () => 'drop tablespace',
  AlterSystemStmt: () => 'alter system',
  IndexStmt: ({ concurrent }) => (concurrent === true ? 'create index concurrently' : undefined),
  DropStmt: ({ concurrent }) => (concurrent === true ? 'drop index concurrently' : undefined),
  ReindexStmt: ({ kind, params }) => {
    if (isOn(findOption(params, 'concurrently'), false)) return 'reindex concurrently';
    return kind === undefined ? undefined : wholesale[kind];
  },
  AlterTableStmt: ({ cmds = [] }) =>
    cmds.flatMap(readConcurrentDetachment).length > 0
      ? 'alter table … detach partition … concurrently'
      : undefined,
  CreateSubscriptionStmt: ({ options }) =>
    isOn(findOption(options, 'create_slot'), isOn(findOption(options, 'connect'), true))
      ? 'create subscription with a slot'
      : undefined,
  AlterSubscriptionStmt: ({ kind, options }) => {
    if (kind === 'ALTER_SUBSCRIPTION_REFRESH') return 'alter subscription … refresh publication';
    const refreshes = kind?.endsWith('_PUBLICATION') === true && isOn(findOption(options, 'refresh'), true);
    return refreshes ? 'alter subscription … publication with refresh' : undefined;
  },
};

const wholesale: Readonly<Record<string, string>> = {
  REINDEX_OBJECT_SCHEMA: 'reindex schema',
  REINDEX_OBJECT_DATABASE: 'reindex database',
  REINDEX_OBJECT_SYSTEM: 'reindex system',
};

const cursorWithHold = 0x20;

/** PostgreSQL refuses these outside a transaction block, or does nothing and gives a warning that nobody reads. */
const inTransactionOnly: Rules = {
  LockStmt: () => 'lock table',
  DeclareCursorStmt: ({ options = 0 }) =>
    (options & cursorWithHold) === 0 ? 'declare … cursor without hold' : undefined,
  ConstraintsSetStmt: () => 'set constraints',
  VariableSetStmt: ({ is_local, name }) => {
    if (name === 'TRANSACTION') return 'set transaction';
    return is_local === true ? 'set local' : undefined;
  },
};

function nameBy(rules: Rules, node: Node): string | undefined {
  for (const [tag, body] of Object.entries(node)) {
    // A node has one key, its tag, and the body of that tag: what Rules says, but cannot say of an entry.
    const rule = rules[tag as Tag] as ((statement: unknown) => string | undefined) | undefined;
    const name = rule?.(body);
    if (name !== undefined) return name;
  }
  return undefined;
}

function createdBy({ concurrent, idxname, relation }: Body<'IndexStmt'>): ConcurrentWork | undefined {
  const table = readRelation(relation);
  if (concurrent !== true || table === undefined) return undefined;
  return { kind: 'create-index', table, ...(idxname === undefined ? {} : { index: idxname }) };
}

function droppedBy({ concurrent, objects = [] }: Body<'DropStmt'>): ConcurrentWork | undefined {
  if (concurrent !== true) return undefined;
  return { kind: 'drop-index', indexes: objects.flatMap(readName) };
}

function reindexedBy({ kind, params, relation, name }: Body<'ReindexStmt'>): ConcurrentWork | undefined {
  if (!isOn(findOption(params, 'concurrently'), false)) return undefined;
  if (kind === 'REINDEX_OBJECT_DATABASE') return { kind: 'reindex', scope: 'database' };
  if (name !== undefined) return { kind: 'reindex', scope: 'schema', schema: name };
  const target = readRelation(relation);
  return (
    target && { kind: 'reindex', scope: kind === 'REINDEX_OBJECT_INDEX' ? 'index' : 'table', name: target }
  );
}

function detachedBy({ cmds = [], relation }: Body<'AlterTableStmt'>): ConcurrentWork | undefined {
  const table = readRelation(relation);
  const [command] = cmds.flatMap(readConcurrentDetachment);
  const partition = readRelation(command?.name);
  return table && partition && { kind: 'detach-partition', table, partition };
}

function readConcurrentDetachment(command: Node): readonly PartitionCmd[] {
  const definition = 'AlterTableCmd' in command ? command.AlterTableCmd.def : undefined;
  if (definition === undefined || !('PartitionCmd' in definition)) return [];
  return definition.PartitionCmd.concurrent === true ? [definition.PartitionCmd] : [];
}

function readRelation(relation: RangeVar | undefined): QualifiedName | undefined {
  if (relation?.relname === undefined) return undefined;
  const { schemaname: schema, relname: name } = relation;
  return schema === undefined ? { name } : { schema, name };
}

/** A name that stands as a list of its parts. */
function readName(node: Node): readonly QualifiedName[] {
  const parts = 'List' in node ? (node.List.items ?? []) : [];
  const [name, schema] = parts
    .flatMap((part) => ('String' in part ? (part.String.sval ?? '') : []))
    .toReversed();
  if (name === undefined) return [];
  return [schema === undefined ? { name } : { schema, name }];
}

/** The option of that name; where it stands twice, the last one counts. */
function findOption(options: readonly Node[] | undefined, name: string): DefElem | undefined {
  return options
    ?.flatMap((option) => ('DefElem' in option ? [option.DefElem] : []))
    .findLast((option) => option.defname === name);
}

/** A boolean option as PostgreSQL reads it: `false`, `off` and 0 are off, the bare name is on. */
function isOn(option: DefElem | undefined, otherwise: boolean): boolean {
  if (option === undefined) return otherwise;
  const { arg } = option;
  if (arg === undefined) return true;
  if ('Integer' in arg) return (arg.Integer.ival ?? 0) !== 0;
  const name = 'TypeName' in arg ? arg.TypeName.names?.at(-1) : arg;
  return name === undefined || !('String' in name) || !/^(false|off)$/i.test(name.String.sval ?? '');
}
