import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Alteration } from '../alteration.ts';

/** Writes a file for each alteration into the folder, which is made where there is none. */
export async function writeEach(
  folder: string,
  alterations: readonly Alteration[],
  render: (alteration: Alteration) => { readonly name: string; readonly text: string },
): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const alteration of alterations) {
    const { name, text } = render(alteration);
    await writeFile(join(folder, name), text);
  }
}

/** The text between backticks, as a module's source has it. */
export function quoteTemplate(text: string): string {
  return `\`${text.replace(/[\\`]|\$\{/g, '\\$&')}\``;
}
