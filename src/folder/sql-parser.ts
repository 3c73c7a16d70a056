import type { Node } from 'libpg-query';
import { codeRange, type TextRange } from './sql-text.ts';

/** A statement in PostgreSQL's parse tree, with its range in UTF-16 code units. */
export interface ParsedStatement extends TextRange {
  readonly node: Node;
}

export type ParseResult =
  | { readonly outcome: 'parsed'; readonly statements: readonly ParsedStatement[] }
  | { readonly outcome: 'refused'; readonly message: string; readonly offset: number };

export type ParseSql = (text: string) => ParseResult;

/** PostgreSQL's own parser, loaded when it is first needed: what has no SQL file does not wait for it. */
export async function loadSqlParser(): Promise<ParseSql> {
  const { hasSqlDetails, loadModule, parseSync } = await import('libpg-query');
  await loadModule();
  return (text) => {
    try {
      // A lone surrogate would move the offsets: it has no encoding, and its replacement is as long.
      const { stmts = [] } = parseSync(text.toWellFormed());
      return { outcome: 'parsed', statements: placeStatements(text, stmts) };
    } catch (error) {
      const position = hasSqlDetails(error) ? (error.sqlDetails?.cursorPosition ?? 0) : 0;
      return { outcome: 'refused', message: describe(error), offset: offsetOfCharacter(text, position) };
    }
  };
}

/** The offset in UTF-16 code units of the character with that index (0-based), as PostgreSQL counts them. */
export function offsetOfCharacter(text: string, index: number): number {
  let offset = 0;
  let left = index;
  for (const character of text) {
    if (left <= 0) break;
    offset += character.length;
    left -= 1;
  }
  return offset;
}

/** Said of a statement that may well be fine. */
export const tooDeep = 'expression too deep for the parser';

function describe(error: unknown): string {
  // The tree of a very deep expression overflows the stack before it reaches us.
  if (error instanceof RangeError) return tooDeep;
  return error instanceof Error ? error.message : String(error);
}

interface RawStatement {
  readonly stmt?: Node;
  readonly stmt_location?: number;
  readonly stmt_len?: number;
}

function placeStatements(text: string, raw: readonly RawStatement[]): readonly ParsedStatement[] {
  const offsetOf = createByteOffsets(text.toWellFormed());
  return raw.flatMap(({ stmt, stmt_location: location = 0, stmt_len: length }) => {
    const start = offsetOf(location);
    const end = length === undefined ? text.length : offsetOf(location + length);
    const range = trimRange(text, start, end);
    return stmt === undefined || range === undefined ? [] : [{ ...range, node: stmt }];
  });
}

/** Translates offsets in UTF-8 bytes, asked in ascending order, into UTF-16 code units. */
function createByteOffsets(text: string): (byte: number) => number {
  if (Buffer.byteLength(text) === text.length) return (byte) => byte;
  const bytes = Buffer.from(text);
  let atByte = 0;
  let atUnit = 0;
  return (byte) => {
    atUnit += bytes.toString('utf8', atByte, byte).length;
    atByte = byte;
    return atUnit;
  };
}

function trimRange(text: string, start: number, end: number): TextRange | undefined {
  const raw = text.slice(start, end);
  if (raw.includes('--') || raw.includes('/*')) return codeRange(text, start, end);
  const head = raw.search(/[^ \t\n\r\f\v]/);
  return head === -1 ? undefined : { start: start + head, end: start + lengthWithoutBlanks(raw) };
}

function lengthWithoutBlanks(text: string): number {
  let length = text.length;
  while (' \t\n\r\f\v'.includes(text.charAt(length - 1))) length -= 1;
  return length;
}
