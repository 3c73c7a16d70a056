import type { DefElem, Node } from 'libpg-query';
import type { SqlMode } from './sql-settings.ts';
import { summariseSql } from './sql-text.ts';

type Tag = Node extends infer Variant ? (Variant extends Node ? keyof Variant : never) : never;
type Body<Name extends Tag> = Extract<Node, Record<Name, unknown>>[Name & keyof Extract<Node, Record<Name, unknown>>];
/** Names the statement when the rule holds for it, and it holds for nothing else. */
type Rules = { readonly [Name in Tag]?: (statement: Body<Name>) => string | undefined };

/**
 * What PostgreSQL refuses inside a transaction block, each tried on PostgreSQL 15 and 18. What depends on the
 * database is not here (`drop subscription` without a slot, `cluster` and `reindex` of a partitioned table).
 */
const refusedInTransaction: Rules = {
  VacuumStmt: ({ is_vacuumcmd }) => (is_vacuumcmd === true ? 'vacuum' : undefined),
  IndexStmt: ({ concurrent }) => (concurrent === true ? 'create index concurrently' : undefined),
};
