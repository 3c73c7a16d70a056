import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Alteration } from '../core/alteration.ts';
import { UnusableAlterationError } from '../core/errors.ts';
import { normaliseText } from './sql-text.ts';

/** Checksum of a SQL text; its scheme has a version, so that another can follow. */
export function checksumSql(text: string): string {
  return `sql-1:${digest(normaliseText(text))}`;
}

/** SHA-256 in hex. */
export function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/**
 * What tells whether an alteration is still what was applied: the text of a SQL file (of a pair, the one that goes
 * up), or the syntax tree of a module and its local imports. Throws an UnusableAlterationError.
 */
export async function checksumAlteration(folder: string, alteration: Alteration): Promise<string> {
  const path = join(folder, alteration.file);
  if (alteration.format === 'sql') return checksumSql(await readAlterationFile(path, alteration.file));
  const { checksumModule } = await import('./module-checksum.ts');
  return checksumModule(path, folder);
}

/** Text of an alteration's file. Throws an UnusableAlterationError. */
export async function readAlterationFile(path: string, file: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UnusableAlterationError(`"${file}" cannot be read: ${reason}.`, { cause: error });
  }
}
