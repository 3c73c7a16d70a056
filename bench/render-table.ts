type Side = 'left' | 'right';

/** A Markdown table as the formatter leaves it: names to the left, and all other columns to the side. */
export function renderTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  side: Side,
): string {
  const columns = head.map((title, index) => ({
    width: Math.max(3, title.length, ...rows.map((row) => row[index]?.length ?? 0)),
    side: index === 0 ? ('left' as const) : side,
  }));
  const line = (row: readonly string[]) =>
    `| ${columns.map(({ width, side }, index) => pad(row[index] ?? '', width, side)).join(' | ')} |`;
  const rule = columns.map(({ width, side }) =>
    side === 'right' ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width),
  );
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

function pad(cell: string, width: number, side: Side): string {
  return side === 'right' ? cell.padStart(width) : cell.padEnd(width);
}
