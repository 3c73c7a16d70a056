import { readFile, writeFile } from 'node:fs/promises';

const start = '<!-- bench:start -->';
const end = '<!-- bench:end -->';
const newPage = `# Performance

Measured by \`npm run bench\`.

${start}

${end}
`;

/** Puts the text between the page's two markers; a page that is not there is begun. */
export async function writeIntoPage(path: string, text: string): Promise<void> {
  const page = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return newPage;
    throw error;
  });
  const from = page.indexOf(start);
  const to = page.indexOf(end);
  if (from === -1 || to < from)
    throw new Error(`"${path}" has no place for the tables: ${start} and after it ${end}.`);
  await writeFile(path, `${page.slice(0, from + start.length)}\n\n${text.trim()}\n\n${page.slice(to)}`);
}
