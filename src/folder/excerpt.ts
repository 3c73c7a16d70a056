/** A place in a text, both 1-based; the column counts characters, as PostgreSQL does. */
export interface TextPlace {
  readonly line: number;
  readonly column: number;
  readonly excerpt: string;
}

const widest = 100;

/** The place of an offset in UTF-16 code units, with the lines around it. */
export function placeAt(text: string, offset: number): TextPlace {
  const lineStart = offset === 0 ? 0 : text.lastIndexOf('\n', offset - 1) + 1;
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < lineStart; at = text.indexOf('\n', at + 1)) line += 1;
  const column = [...text.slice(lineStart, offset)].length + 1;
  return { line, column, excerpt: excerptAt(text, line, column) };
}

/**
 * The line with a caret under the column, two lines before it and one after, numbered.
 * Line and column are 1-based; the column counts characters.
 */
export function excerptAt(text: string, line: number, column: number): string {
  const first = Math.max(1, line - 2);
  const lines = linesFrom(text, first, line + 1);
  const gutter = String(first + lines.length - 1).length;
  return lines
    .flatMap((content, index) => {
      const number = first + index;
      const { visible, lead } = cutLine(content, number === line ? column : 1);
      const shown = `${String(number).padStart(gutter)} | ${visible}`.trimEnd();
      return number === line ? [shown, `${' '.repeat(gutter)} | ${blankOut(lead)}^`] : [shown];
    })
    .join('\n');
}

/** The lines with these numbers; the end of the last line of a file does not begin another one. */
function linesFrom(text: string, first: number, last: number): readonly string[] {
  const lines: string[] = [];
  let start = 0;
  for (let number = 1; number <= last && (start < text.length || number < last); number += 1) {
    const found = text.indexOf('\n', start);
    const end = found === -1 ? text.length : found;
    if (number >= first) lines.push(text.slice(start, end).replace(/\r$/, ''));
    start = end + 1;
  }
  return lines;
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
