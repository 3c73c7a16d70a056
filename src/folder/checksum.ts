import { hash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Alteration } from '../core/alteration.ts';
import { UnusableAlterationError } from '../core/errors.ts';
import { once } from '../core/once.ts';
import { type ModuleSources, openModuleSources, sourceDigestFor } from './module-sources.ts';
import { normaliseText } from './sql-text.ts';

/** What tells whether an alteration is still what was applied. */
export interface Checksum {
  /** Of the text of a SQL file (of a pair, the one that goes up), or of what a module and its local imports do. */
  readonly checksum: string;
  /** Of the text of a module and its local imports, with which the checksum is known without parsing it again. */
  readonly sourceDigest?: string;
}

/** Checksum of a SQL text; its scheme has a version, so that another can follow. */
export function checksumSql(text: string): string {
  return `sql-1:${digest(normaliseText(text))}`;
}

/** SHA-256 in hex. */
export function digest(text: string): string {
  return hash('sha256', text, 'hex');
}

/** Checksums of a folder's alterations. A file that several modules import is read and parsed once. */
export interface Checksums {
  readonly sources: ModuleSources;
  /** Throws an UnusableAlterationError. */
  readonly of: (alteration: Alteration) => Promise<Checksum>;
}

export function openChecksums(folder: string): Checksums {
  const sources = openModuleSources(folder);
  const loadParser = once(async () => {
    const { checksumModule, openModules } = await import('./module-checksum.ts');
    const modules = openModules(sources);
    return (path: string) => checksumModule(path, modules);
  });
  const checksumOfModule = async (path: string): Promise<Checksum> => {
    const checksum = (await loadParser())(path);
    const sourceDigest = sourceDigestFor(checksum, sources.digest(path));
    return sourceDigest ? { checksum, sourceDigest } : { checksum };
  };
  const of = async (alteration: Alteration): Promise<Checksum> => {
    const path = join(folder, alteration.file);
    if (alteration.format === 'module') return checksumOfModule(path);
    return { checksum: checksumSql(readAlterationFile(path, alteration.file)) };
  };
  return { sources, of };
}

/** Text of an alteration's file. Throws an UnusableAlterationError. */
export function readAlterationFile(path: string, file: string): string {
  return readOrRefuse(file, () => readFileSync(path, 'utf8'));
}

/** What `read` gives. Throws an UnusableAlterationError that names the file. */
export function readOrRefuse<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new UnusableAlterationError(`"${file}" cannot be read: ${reason}.`, { cause: error });
  }
}
