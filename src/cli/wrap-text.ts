import { stripVTControlCharacters } from 'node:util';

/** Breaks lines that are too wide between their words; a line of an excerpt stays as it is. */
export function wrapText(text: string, width: number): string {
  return text
    .split('\n')
    .flatMap((line) => (widthOf(line) <= width || /^ *\d* \|/.test(line) ? [line] : wrapLine(line, width)))
    .join('\n');
}

function wrapLine(line: string, width: number): readonly string[] {
  const indent = ' '.repeat(line.search(/\S|$/));
  const lines: string[] = [];
  let current = indent;
  for (const word of line.trim().split(' ')) {
    const longer = current === indent ? indent + word : `${current} ${word}`;
    if (current !== indent && widthOf(longer) > width) {
      lines.push(current);
      current = indent + word;
    } else current = longer;
  }
  return [...lines, current];
}

function widthOf(text: string): number {
  return stripVTControlCharacters(text).length;
}
