import type { ConcurrentWork } from '../core/concurrent-work.ts';
import { type Problem, UnusableAlterationError } from '../core/errors.ts';
import { placeAt, type TextPlace } from './excerpt.ts';
import { blankPsqlSyntax } from './psql-syntax.ts';
import { loadSqlParser, offsetOfCharacter, type ParsedStatement, type ParseSql } from './sql-parser.ts';
import { concurrentWorkOf, explainRefusal, isRefusedInTransaction, kindOf } from './sql-rules.ts';
import { type Finding, readSqlSettings, type SqlMode, type SqlSettings } from './sql-settings.ts';
import { listStatementRanges, listTokens, normaliseText, summariseSql, type TextRange } from './sql-text.ts';

/** One statement of a `.sql` alteration. */
export interface SqlStatement {
  /** Without the comments around it and without its semicolon: what is sent. */
  readonly text: string;
  /** Where `text` starts in the script's text, in UTF-16 code units. */
  readonly offset: number;
  /** 1-based line of the file. */
  readonly line: number;
  /** Tag of PostgreSQL's parse tree (`CreateStmt`, `IndexStmt`, …), or `unparsed` for syntax newer than the parser. */
  readonly kind: string;
  /** A few words on one line, without the values in it. */
  readonly summary: string;
  /** Whether PostgreSQL refuses it inside a transaction block, as far as the statement itself tells. */
  readonly refusesTransaction: boolean;
  /** What it does concurrently, and may leave half done. */
  readonly concurrentWork?: ConcurrentWork;
}

/** A `.sql` alteration, ready to run. */
export interface SqlScript extends SqlSettings {
  readonly statements: readonly SqlStatement[];
  /** The file's text without byte order mark, lines ended by a line feed. */
  readonly text: string;
}

/**
 * Reads the text of a `.sql` alteration. Comments alone are a script without statements.
 * @throws UnusableAlterationError with everything that keeps it from running, each with its place.
 */
export async function parseSqlScript(
  text: string,
  file: string,
  loadParser = loadSqlParser,
): Promise<SqlScript> {
  const script = normaliseText(text);
  if (script.trim() === '') throw unusable(file, [{ file, message: `"${file}" is empty; ${whatIfEmpty}` }]);
  refuse(script, file, findUndecodable(script));
  const reading = readStatements(script, await loadParser());
  const { settings, findings } = readSqlSettings(reading.text);
  const refusals = reading.statements.flatMap((statement) => findRefusal(statement, script, settings.mode));
  refuse(script, file, [...reading.findings, ...findings, ...refusals], reading.hint);
  return { ...settings, statements: describeStatements(script, reading.statements), text: script };
}

/**
 * The statements of a query, for a server protocol that takes one at a time.
 * What is one statement, or cannot be parsed, is given back as it is.
 */
export async function splitStatements(sql: string): Promise<readonly string[]> {
  // The parser ends at a NUL, which no server accepts anyway.
  if (!/;\s*\S/.test(sql) || sql.includes('\0')) return [sql];
  const parse = await loadSqlParser();
  const result = parse(sql);
  if (result.outcome === 'refused' || result.statements.length < 2) return [sql];
  return result.statements.map(({ start, end }) => sql.slice(start, end));
}

/** The place in the file of an error position (1-based, in characters) that PostgreSQL gave for a statement. */
export function placeOf(
  script: Pick<SqlScript, 'text'>,
  statement: SqlStatement,
  position: number,
): TextPlace {
  return placeAt(script.text, statement.offset + offsetOfCharacter(statement.text, position - 1));
}

/** Whether all that a statement does is to set something on the session. */
export function isSetting({ kind, text }: SqlStatement): boolean {
  return kind === 'VariableSetStmt' || /^select\s+(?:pg_catalog\s*\.\s*)?set_config\s*\(/i.test(text);
}

const whatIfEmpty = 'write its statements, or a comment that says why there is nothing to do.';

function unusable(file: string, problems: readonly Problem[], hint?: string): UnusableAlterationError {
  return new UnusableAlterationError(`"${file}" cannot be run as it is.`, { problems, hint });
}

function refuse(text: string, file: string, findings: readonly Finding[], hint?: string): void {
  if (findings.length === 0) return;
  const problems = findings
    .toSorted((one, other) => one.offset - other.offset)
    .map(({ offset, message }): Problem => ({ file, ...placeAt(text, offset), message }));
  throw unusable(file, problems, hint);
}

/** The parser ends at a NUL without a word, and a replacement character is what is left of another encoding. */
function findUndecodable(text: string): readonly Finding[] {
  const offset = text.search(/[\0\uFFFD]/);
  return offset === -1 ? [] : [{ offset, message: encoding }];
}

const encoding =
  "This is not UTF-8 text; save the file as UTF-8 (a replacement character itself is written u&'\\fffd').";

interface Reading {
  /** The script without what only psql understands, at the same offsets. */
  readonly text: string;
  readonly statements: readonly (TextRange & Partial<ParsedStatement>)[];
  readonly findings: readonly Finding[];
  readonly hint?: string;
}

function readStatements(text: string, parse: ParseSql): Reading {
  const whole = parse(text);
  if (whole.outcome === 'parsed') return { text, statements: whole.statements, findings: [] };
  const cleaned = blankPsqlSyntax(text);
  const reading = cleaned.text === text ? undefined : parse(cleaned.text);
  if (reading?.outcome === 'parsed') return { ...cleaned, statements: reading.statements };
  // What does not parse without the commands may only be torn by them.
  if (cleaned.findings.length > 0) return { ...cleaned, statements: [] };
  return readPieces(cleaned.text, parse, reading?.outcome === 'refused' ? reading : whole);
}

/** Takes a text that does not parse statement by statement: one alone may be newer than the parser. */
function readPieces(text: string, parse: ParseSql, failure: Finding): Reading {
  const pieces = listStatementRanges(text);
  if (endsInside(text)) return { text, statements: [], findings: [complain(failure)] };
  if (pieces.length === 1) return { text, statements: pieces, findings: [] };
  const statements: ParsedStatement[] = [];
  const findings: Finding[] = [];
  for (const { start, end } of pieces) {
    const result = parse(text.slice(start, end));
    if (result.outcome === 'refused') findings.push(complain({ ...result, offset: start + result.offset }));
    else
      statements.push(
        ...result.statements.map((each) => ({ ...each, start: start + each.start, end: start + each.end })),
      );
  }
  return { text, statements, findings, hint };
}

const hint =
  'The parser knows the syntax of PostgreSQL 18. A statement with newer syntax runs when it stands in a file of its own.';

/** Whether the text ends within a quote or a comment, which no syntax allows. */
function endsInside(text: string): boolean {
  return listTokens(text).some(({ kind }) => kind === 'unterminated');
}

function complain({ offset, message }: Finding): Finding {
  return { offset, message: `PostgreSQL's parser refuses this: ${message}.` };
}

function findRefusal(
  statement: Reading['statements'][number],
  text: string,
  mode: SqlMode,
): readonly Finding[] {
  const { start, end, node } = statement;
  const message = node && explainRefusal(node, text.slice(start, end), mode);
  return message === undefined ? [] : [{ offset: start, message }];
}

function describeStatements(text: string, statements: Reading['statements']): readonly SqlStatement[] {
  let line = 1;
  let counted = 0;
  return statements.map(({ start, end, node }) => {
    line += text.slice(counted, start).split('\n').length - 1;
    counted = start;
    const concurrentWork = node && concurrentWorkOf(node);
    const statement = text.slice(start, end);
    return {
      text: statement,
      offset: start,
      line,
      kind: node ? kindOf(node) : 'unparsed',
      // Read of the few statements that something is told of.
      get summary() {
        return summariseSql(statement);
      },
      refusesTransaction: node !== undefined && isRefusedInTransaction(node),
      ...(concurrentWork ? { concurrentWork } : {}),
    };
  });
}
