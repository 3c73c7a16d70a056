import type { Finding } from './sql-settings.ts';
import { type SqlToken, tokenAt } from './sql-text.ts';

/**
 * Finds what only psql understands, `\commands` and the data lines after `copy … from stdin;`, and gives the
 * text without them: every offset stays the same, so that what is left can be parsed and checked as well.
 */
export function blankPsqlSyntax(text: string): { text: string; findings: readonly Finding[] } {
  const findings: Finding[] = [];
  let kept = '';
  let done = 0;
  let statement = '';
  const blank = (from: number, end: number, instead = ''): void => {
    kept += text.slice(done, from) + instead + text.slice(from + instead.length, end).replace(/[^\n]/g, ' ');
    done = end;
  };
  for (let token = tokenAt(text, 0); token !== undefined; token = tokenAt(text, Math.max(done, token.end))) {
    const symbol = token.kind === 'symbol' ? text[token.start] : undefined;
    if (symbol === '\\') {
      const end = endOfLine(text, token.start);
      findings.push({ offset: token.start, message: explain(text.slice(token.start, end)) });
      // `select 1 \gexec` is a statement that the command ends, as a semicolon would.
      blank(token.start, end, ';');
    } else if (symbol === ';' && /^copy .*\bfrom stdin /.test(statement)) {
      blank(...copyData(text, token.end));
    }
    statement = symbol === ';' || symbol === '\\' ? '' : `${statement}${wordOf(text, token)} `;
  }
  return { text: kept + text.slice(done), findings };
}

function wordOf(text: string, token: SqlToken): string {
  return token.kind === 'word' ? text.slice(token.start, token.end).toLowerCase() : '·';
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end === -1 ? text.length : end;
}

/** The lines after a copy statement, up to and with the line `\.`, as psql reads them. */
function copyData(text: string, after: number): [number, number] {
  const start = endOfLine(text, after);
  const mark = /^\\\.$/m.exec(text.slice(start));
  return [start, mark === null ? text.length : start + mark.index + mark[0].length];
}

const remedies: readonly (readonly [RegExp, string])[] = [
  [/^\\(i|ir|include|include_relative)\b/, 'write the included statements into the alteration'],
  [/^\\copy\b/, 'write the rows as insert statements'],
  [/^\\(un)?restrict\b/, 'delete the line, which pg_dump writes for psql'],
  [/^\\(c|connect)\b/, 'delete the line, the runner is connected to the database'],
  [/^\\g/, 'end the statement with a semicolon'],
  [/^\\(set|unset|gset)\b/, 'write the value where it is used'],
];

function explain(line: string): string {
  const command = line.trim().replace(/(?<=^.{60}).+$/su, '…');
  const remedy = remedies.find(([pattern]) => pattern.test(command))?.[1] ?? 'delete it or write it as SQL';
  return `"${command}" is a command of psql, which only psql understands; ${remedy}.`;
}
