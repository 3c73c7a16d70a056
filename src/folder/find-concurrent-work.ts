import type { ConcurrentWork } from '../core/concurrent-work.ts';
import { loadSqlParser } from './sql-parser.ts';
import { concurrentWorkOf } from './sql-rules.ts';

/** What a query of one statement does concurrently; undefined if nothing, or if it cannot be parsed. */
export async function findConcurrentWork(text: string): Promise<ConcurrentWork | undefined> {
  // The parser ends at a NUL, which no server accepts anyway.
  if (!/\bconcurrently\b/i.test(text) || text.includes('\0')) return undefined;
  const parse = await loadSqlParser();
  const result = parse(text);
  if (result.outcome === 'refused' || result.statements.length > 1) return undefined;
  const [statement] = result.statements;
  return statement && concurrentWorkOf(statement.node);
}
