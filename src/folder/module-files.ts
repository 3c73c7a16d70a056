import { readFileSync, statSync } from 'node:fs';
import { dirname, extname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { UnusableAlterationError } from '../core/errors.ts';

/** Whether the specifier names a file beside or below or above the one that imports it. */
export function isRelative(specifier: string): boolean {
  return /^\.\.?(\/|$)/.test(specifier);
}

/** The specifier as it is before and after compilation: without its extension. */
export function withoutExtension(specifier: string): string {
  return isRelative(specifier) ? specifier.replace(/\.[cm]?[jt]s$/, '') : specifier;
}

export function isModuleFile(file: string): boolean {
  return /\.[cm]?[jt]s$/.test(file);
}

/** The file that a relative specifier of `importer` means, where it is one inside the folder. */
export function resolveInside(folder: string, importer: string, specifier: string): string | undefined {
  if (!isRelative(specifier)) return undefined;
  return candidatesFor(join(dirname(importer), specifier)).find(
    (candidate) => isInside(folder, candidate) && isFile(candidate),
  );
}

/** What a module may import by a relative path, as far as its text tells without a parser. */
export interface SpecifierScan {
  /** Every relative specifier, and what else looks like one. */
  readonly specifiers: readonly string[];
  /** `unsure`: another may be hidden by how it is written, as in '.\x2fb.js'. */
  readonly outcome: 'complete' | 'unsure';
}

/**
 * Looks behind every quote, whether or not it opens a literal: one specifier too many does no harm. A literal whose
 * value begins with a dot begins with it in the text too, or with an escape that can stand for one or for nothing.
 */
export function scanSpecifiers(text: string): SpecifierScan {
  const specifiers = new Set<string>();
  let outcome: SpecifierScan['outcome'] = 'complete';
  const literals =
    /(['"`])(?=(?<escape>\\[.xu\d\r\n\u2028\u2029]|\.\.?\\)|(?<specifier>\.\.?(?:\/[\s\S]*?)?)\1)/g;
  for (const { groups } of text.matchAll(literals)) {
    const specifier = groups?.['specifier'] ?? '\\';
    if (specifier.includes('\\')) outcome = 'unsure';
    else specifiers.add(specifier.replaceAll(/\r\n?/g, '\n'));
  }
  return { specifiers: [...specifiers], outcome };
}

const compiledFrom: Readonly<Record<string, readonly string[]>> = {
  '.js': ['.js', '.ts', '.mts'],
  '.ts': ['.ts', '.js'],
  '.mjs': ['.mjs', '.mts'],
  '.mts': ['.mts', '.mjs'],
  '.cjs': ['.cjs', '.cts'],
  '.cts': ['.cts', '.cjs'],
};

const searched = ['.ts', '.js', '.mts', '.mjs'];

/** Files that a path may mean: an import may name the file that compilation makes, or leave the extension out. */
export function candidatesFor(path: string): readonly string[] {
  const extension = extname(path);
  const stem = path.slice(0, path.length - extension.length);
  return [
    ...(compiledFrom[extension] ?? ['']).map((each) => (each === '' ? path : stem + each)),
    ...searched.map((each) => path + each),
    ...searched.map((each) => join(path, `index${each}`)),
  ];
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return !isAbsolute(way) && way !== '..' && !way.startsWith(`..${sep}`);
}

function isFile(path: string): boolean {
  return statOf(path)?.isFile() ?? false;
}

function statOf(path: string) {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

/** The name that errors give a file: its path from the folder, with `/`. */
export function nameInFolder(folder: string, file: string): string {
  return relative(resolve(folder), resolve(file)).split(sep).join('/');
}

/** Throws an UnusableAlterationError. */
export function readText(folder: string, file: string): string {
  return readOr(folder, file, () => readFileSync(file, 'utf8'));
}

/** Throws an UnusableAlterationError. */
export function readBytes(folder: string, file: string): Buffer {
  return readOr(folder, file, () => readFileSync(file));
}

function readOr<T>(folder: string, file: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    const name = nameInFolder(folder, file);
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `"${name}" cannot be read: ${reason}.`;
    throw new UnusableAlterationError(message, { problems: [{ file: name, message }], cause });
  }
}
