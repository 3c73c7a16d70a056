/**
 * What a terminal of that width shows after these bytes, as lines without the blanks at their ends. It knows what this
 * program and its libraries write, and fails on anything else.
 */
export function renderScreen(output: string, columns = 80): string[] {
  const lines: string[][] = [[]];
  let row = 0;
  let column = 0;
  const lineAt = (index: number): string[] => {
    while (lines.length <= index) lines.push([]);
    return lines[index] ?? [];
  };
  const put = (character: string) => {
    if (column === columns) {
      row += 1;
      column = 0;
    }
    const line = lineAt(row);
    while (line.length < column) line.push(' ');
    line[column] = character;
    column += 1;
  };
  const moves: Readonly<Record<string, (count: number) => void>> = {
    A: (count) => {
      row = Math.max(0, row - (count || 1));
    },
    B: (count) => {
      row += count || 1;
    },
    C: (count) => {
      column = Math.min(columns - 1, column + (count || 1));
    },
    D: (count) => {
      column = Math.max(0, column - (count || 1));
    },
    G: (count) => {
      column = Math.max(0, (count || 1) - 1);
    },
    J: () => {
      lineAt(row).length = Math.min(lineAt(row).length, column);
      lines.length = row + 1;
    },
    K: (mode) => {
      if (mode === 2) lineAt(row).length = 0;
      else lineAt(row).length = Math.min(lineAt(row).length, column);
    },
    m: () => undefined,
  };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  for (const [token] of output.matchAll(/\u001b\[\??[\d;]*[A-Za-z]|[\s\S]/gu)) {
    if (token === '\r') column = 0;
    else if (token === '\n') row += 1;
    else if (token.startsWith('\u001b[?'))
      continue; // modes: cursor shown or hidden, output at once
    else if (token.length > 1 && token.startsWith('\u001b')) {
      const move = moves[token.slice(-1)];
      if (!move) throw new Error(`The screen does not know ${JSON.stringify(token)}.`);
      move(Number(token.slice(2, -1).split(';')[0]));
    } else if (/\p{Cc}/u.test(token)) throw new Error(`The screen does not know ${JSON.stringify(token)}.`);
    else put(token);
  }
  const shown = lines.map((line) => line.join('').trimEnd());
  return shown.slice(0, shown.findLastIndex((line) => line !== '') + 1);
}
