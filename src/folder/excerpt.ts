/** A place in a text, both 1-based; the column counts characters, as PostgreSQL does. */
export interface TextPlace {
  readonly line: number;
  readonly column: number;
  readonly excerpt: string;
}

const widest = 100;

/** The place of an offset in UTF-16 code units, with the lines around it. */
export function placeAt(text: string, offset: number): TextPlace {
  const before = text.slice(0, offset);
  const lineStart = before.lastIndexOf('\n') + 1;
  const line = before.split('\n').length;
  const column = [...before.slice(lineStart)].length + 1;
  return { line, column, excerpt: excerptAt(text, line, column) };
}

/**
 * The line with a caret under the column, two lines before it and one after, numbered.
 * Line and column are 1-based; the column counts characters.
 */
export function excerptAt(text: string, line: number, column: number): string {
  const lines = text.replace(/\r?\n$/, '').split(/\r?\n/);
  const first = Math.max(1, line - 2);
  const last = Math.min(lines.length, line + 1);
  const gutter = String(last).length;
  const shown: string[] = [];
  for (let number = first; number <= last; number += 1) {
    const { visible, lead } = cutLine(lines[number - 1] ?? '', number === line ? column : 1);
    shown.push(`${String(number).padStart(gutter)} | ${visible}`.trimEnd());
    if (number === line) shown.push(`${' '.repeat(gutter)} | ${blankOut(lead)}^`);
  }
  return shown.join('\n');
}

/** What is shown of a line, and the part of it that stands before the column. */
function cutLine(line: string, column: number): { visible: string; lead: string } {
  const characters = [...line].map((character) => (/(?!\t)\p{Cc}/u.test(character) ? '\uFFFD' : character));
  const caret = Math.min(Math.max(column - 1, 0), characters.length);
  if (characters.length <= widest) {
    return { visible: characters.join(''), lead: characters.slice(0, caret).join('') };
  }
  const start = Math.max(0, Math.min(caret - widest / 2, characters.length - widest));
  const end = start + widest;
  const left = start > 0 ? '…' : '';
  const right = end < characters.length ? '…' : '';
  return {
    visible: left + characters.slice(start, end).join('') + right,
    lead: left + characters.slice(start, caret).join(''),
  };
}

/** Blanks that take as much room in a terminal as the text does. */
function blankOut(text: string): string {
  return text
    .replace(/[\p{M}\u200d]/gu, '')
    .replace(/[\p{Emoji_Presentation}\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Hangul}]/gu, '  ')
    .replace(/[^\t]/gu, ' ');
}
