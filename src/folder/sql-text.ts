// The lexical level of SQL: enough to tell code from quotes and comments. What a statement is, PostgreSQL's
// parser decides; this answers only where that parser cannot.

export interface SqlToken {
  /** `symbol` is any other single character; `unterminated` is a quote or comment that reaches the end. */
  readonly kind: 'comment' | 'string' | 'identifier' | 'word' | 'symbol' | 'unterminated';
  /** In UTF-16 code units, `end` exclusive. */
  readonly start: number;
  readonly end: number;
}

export interface TextRange {
  readonly start: number;
  readonly end: number;
}

const blanks = /[ \t\n\r\f\v]*/y;
// PostgreSQL takes every character outside ASCII for a letter.
const word = /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y;
const restOfLine = /[^\n\r]*/y;
const dollarTag = /\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$/y;

/** Without byte order mark, lines ended by a line feed: what is parsed, sent and counted in. */
export function normaliseText(text: string): string {
  const marked = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  return marked.includes('\r') ? marked.replaceAll('\r\n', '\n') : marked;
}

export function* listTokens(text: string, from = 0, until = text.length): Generator<SqlToken> {
  let token = tokenAt(text, from);
  while (token !== undefined && token.start < until) {
    yield token;
    token = tokenAt(text, token.end);
  }
}

/** The first token at or after the offset. */
export function tokenAt(text: string, from: number): SqlToken | undefined {
  const start = from + matchAt(blanks, text, from).length;
  const character = text[start];
  if (character === undefined) return undefined;
  if (text.startsWith('--', start)) return comment(start, matchAt(restOfLine, text, start));
  if (text.startsWith('/*', start)) return closed('comment', start, blockCommentEnd(text, start), text);
  if (character === "'") return closed('string', start, quoteEnd(text, start), text);
  if (character === '"') return closed('identifier', start, quoteEnd(text, start), text);
  const tag = matchAt(dollarTag, text, start);
  if (tag !== '') return closed('string', start, endOf(text, tag, start + tag.length), text);
  const letters = matchAt(word, text, start);
  const end = start + letters.length;
  if (/^e$/i.test(letters) && text[end] === "'") return closed('string', start, escapeEnd(text, end), text);
  return letters === '' ? { kind: 'symbol', start, end: start + 1 } : { kind: 'word', start, end };
}

function matchAt(pattern: RegExp, text: string, at: number): string {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? '';
}

function closed(kind: SqlToken['kind'], start: number, end: number | undefined, text: string): SqlToken {
  return end === undefined ? { kind: 'unterminated', start, end: text.length } : { kind, start, end };
}

function endOf(text: string, mark: string, from: number): number | undefined {
  const at = text.indexOf(mark, from);
  return at === -1 ? undefined : at + mark.length;
}

function comment(start: number, content: string): SqlToken {
  return { kind: 'comment', start, end: start + content.length };
}

function blockCommentEnd(text: string, start: number): number | undefined {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = start;
  let depth = 0;
  for (let mark = marks.exec(text); mark !== null; mark = marks.exec(text)) {
    depth += mark[0] === '/*' ? 1 : -1;
    if (depth === 0) return marks.lastIndex;
  }
  return undefined;
}

function quoteEnd(text: string, start: number): number | undefined {
  const quote = text.charAt(start);
  let end = endOf(text, quote, start + 1);
  while (end !== undefined && text[end] === quote) end = endOf(text, quote, end + 1);
  return end;
}

/** The end of an `e'…'` string, in which a backslash escapes, also after a line break between two parts. */
function escapeEnd(text: string, quote: number): number | undefined {
  const parts = /\\[\s\S]|''|'[ \t\f\v]*[\n\r][ \t\n\r\f\v]*'|'/g;
  parts.lastIndex = quote + 1;
  for (let part = parts.exec(text); part !== null; part = parts.exec(text)) {
    if (part[0] === "'") return parts.lastIndex;
  }
  return undefined;
}

/** The range without the blanks and comments at both its ends; undefined when nothing else is in it. */
export function codeRange(text: string, from: number, until: number): TextRange | undefined {
  let range: TextRange | undefined;
  for (const token of listTokens(text, from, until)) {
    if (token.kind !== 'comment') range = { start: range?.start ?? token.start, end: token.end };
  }
  return range;
}

/**
 * Statements as psql would tell them apart: by semicolons outside quotes, comments, parentheses and
 * `begin atomic` bodies. Each range is without its semicolon.
 */
export function listStatementRanges(text: string): readonly TextRange[] {
  let from = 0;
  const ends = [...listSemicolons(text), text.length];
  return ends.flatMap((end) => {
    const range = codeRange(text, from, end);
    from = end + 1;
    return range ?? [];
  });
}

function listSemicolons(text: string): readonly number[] {
  const every: number[] = [];
  const outermost: number[] = [];
  let scope = openScope();
  for (const token of listTokens(text)) {
    const isEnd = token.kind === 'symbol' && text[token.start] === ';';
    if (isEnd) every.push(token.start);
    if (isEnd && !isNested(scope)) {
      outermost.push(token.start);
      scope = openScope();
    } else followScope(scope, token, text.slice(token.start, token.end));
  }
  // A parenthesis or a body that is never closed would hide every semicolon after it.
  return isNested(scope) ? every : outermost;
}

interface Scope {
  parentheses: number;
  blocks: number;
  opening: string;
}

function openScope(): Scope {
  return { parentheses: 0, blocks: 0, opening: '' };
}

function isNested({ parentheses, blocks }: Scope): boolean {
  return parentheses > 0 || blocks > 0;
}

function followScope(scope: Scope, token: SqlToken, text: string): void {
  if (text === '(') scope.parentheses += 1;
  if (text === ')') scope.parentheses -= 1;
  if (token.kind !== 'word') return;
  const name = text.toLowerCase();
  if (scope.opening.length < 40) scope.opening += `${name} `;
  if (!/^create (or replace )?(function|procedure) /.test(scope.opening)) return;
  if (name === 'begin' || (name === 'case' && scope.blocks > 0)) scope.blocks += 1;
  if (name === 'end' && scope.blocks > 0) scope.blocks -= 1;
}

/**
 * A statement in a few words on one line, for logs and progress: without comments, and without the
 * values in it, which may be secrets.
 */
export function summariseSql(statement: string, longest = 60): string {
  let summary = '';
  let end = 0;
  for (const token of listTokens(statement)) {
    if (token.kind === 'comment') continue;
    const gap = token.start > end && summary !== '' ? ' ' : '';
    summary += gap + shorten(token, statement.slice(token.start, token.end));
    end = token.end;
    if (summary.length > 2 * longest) break;
  }
  const characters = [...summary];
  return characters.length <= longest
    ? summary
    : `${characters
        .slice(0, longest - 1)
        .join('')
        .trimEnd()}…`;
}

function shorten(token: SqlToken, text: string): string {
  if (token.kind !== 'string') return text.replace(/\s+/g, ' ');
  return text.startsWith('$') ? '$$…$$' : "'…'";
}
