import { hash } from 'node:crypto';
import { statSync } from 'node:fs';
import { dirname, extname, join, resolve } from 'node:path';
import { UnusableAlterationError } from '../core/errors.ts';
import {
  isModuleFile,
  isRelative,
  nameInFolder,
  readBytes,
  readText,
  resolveInside,
  scanSpecifiers,
} from './module-files.ts';

/** Names the rules by which the text of a module is made: other rules make other checksums of the same file. */
export const moduleScheme = 'module-1';

const sourceScheme = `${moduleScheme}-source-1`;

/** Data larger than this, which a module may import or only name, has no digest. */
const largestData = 1024 * 1024;

/** The files that modules of a folder are made of: what was read last of each one, and where imports lead. */
export interface ModuleSources {
  readonly folder: string;
  /** The file that a relative specifier of `importer` means, where it is one inside the folder. */
  readonly resolve: (importer: string, specifier: string) => string | undefined;
  /** Throws an UnusableAlterationError. */
  readonly readText: (file: string) => string;
  /** Throws an UnusableAlterationError. */
  readonly readBytes: (file: string) => Buffer;
  /**
   * Digest of all that the checksum of a module depends on: where it is equal, so is the checksum. The name of the module
   * itself is no part of it. Undefined where the text does not show for sure what is imported, or cannot be read.
   */
  readonly digest: (path: string) => string | undefined;
}

interface Source {
  readonly content: string;
  readonly specifiers: readonly string[];
}

export function openModuleSources(root: string): ModuleSources {
  const folder = resolve(root);
  const targets = new Map<string, string | undefined>();
  const known = new Map<string, Source | undefined>(); // undefined: not sure what it imports
  const sources: ModuleSources = {
    folder,
    resolve: (importer, specifier) => {
      if (!isRelative(specifier)) return undefined;
      const path = join(dirname(importer), specifier);
      if (!targets.has(path)) targets.set(path, resolveInside(folder, importer, specifier));
      return targets.get(path);
    },
    readText: (file) => {
      const text = readText(folder, file);
      known.set(file, describeText(text));
      return text;
    },
    readBytes: (file) => {
      const bytes = readBytes(folder, file);
      known.set(file, { content: hash('sha256', bytes, 'hex'), specifiers: [] });
      return bytes;
    },
    digest: (path) => {
      const description = describeAll(resolve(path), (file) => sourceOf(file, sources, known), sources);
      return description && hash('sha256', description, 'hex');
    },
  };
  return sources;
}

/** What the history keeps: it holds for this checksum only, and under these rules. */
export function sourceDigestFor(checksum: string, digest: string | undefined): string | undefined {
  return digest && `${sourceScheme}:${hash('sha256', `${sourceScheme} ${checksum} ${digest}`, 'hex')}`;
}

function describeText(text: string): Source | undefined {
  const { specifiers, outcome } = scanSpecifiers(text);
  if (outcome === 'unsure') return undefined;
  return { content: hash('sha256', text, 'hex'), specifiers: specifiers.map(copyText) };
}

/** A part of a text, by itself, would keep the whole text in memory. */
function copyText(part: string): string {
  return Buffer.from(part).toString();
}

/** Every file with its name, its content and where its imports lead, as numbers in the order of their first mention. */
function describeAll(
  entry: string,
  read: (file: string) => Source | undefined,
  { folder, resolve: resolveFrom }: ModuleSources,
): string | undefined {
  const numbers = new Map([[entry, 0]]);
  const described: unknown[] = [];
  // Grows while it is walked.
  for (const [file, number] of numbers) {
    const source = read(file);
    if (source === undefined) return undefined;
    const links = source.specifiers.map((specifier) => {
      const target = resolveFrom(file, specifier);
      if (target !== undefined && !numbers.has(target)) numbers.set(target, numbers.size);
      return target === undefined ? null : numbers.get(target);
    });
    // A release renames the module itself; its extension tells the language.
    const name = number === 0 ? extname(file) : nameInFolder(folder, file);
    described.push([name, source.content, links]);
  }
  return JSON.stringify(described);
}

function sourceOf(
  file: string,
  sources: ModuleSources,
  known: ReadonlyMap<string, Source | undefined>,
): Source | undefined {
  if (known.has(file)) return known.get(file);
  try {
    if (isModuleFile(file)) sources.readText(file);
    else if (statSync(file).size <= largestData) sources.readBytes(file);
  } catch (error) {
    if (error instanceof UnusableAlterationError || isSystemFailure(error)) return undefined;
    throw error;
  }
  return known.get(file);
}

function isSystemFailure(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}
