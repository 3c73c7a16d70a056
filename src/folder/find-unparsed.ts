import type { Problem } from '../core/errors.ts';
import { placeAt } from './excerpt.ts';
import type { SqlScript } from './split-sql.ts';
import { loadSqlParser, tooDeep } from './sql-parser.ts';

/**
 * Statements that the parser refuses and a deploy sends all the same: alone in its file, one may be newer than the
 * parser. More often it is misspelt.
 */
export async function findUnparsed(script: SqlScript, file: string): Promise<readonly Problem[]> {
  const unparsed = script.statements.filter(({ kind }) => kind === 'unparsed');
  if (unparsed.length === 0) return [];
  const parse = await loadSqlParser();
  return unparsed.flatMap(({ text, offset }) => {
    const result = parse(text);
    if (result.outcome === 'parsed' || result.message === tooDeep) return [];
    const { line, column } = placeAt(script.text, offset + result.offset);
    return [{ file, line, column, message: `PostgreSQL 18's parser refuses this: ${result.message}.` }];
  });
}
