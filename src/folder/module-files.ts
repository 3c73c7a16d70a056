import { readFile, stat } from 'node:fs/promises';
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
export async function resolveInside(
  folder: string,
  importer: string,
  specifier: string,
): Promise<string | undefined> {
  if (!isRelative(specifier)) return undefined;
  for (const candidate of candidatesFor(join(dirname(importer), specifier))) {
    if (isInside(folder, candidate) && (await isFile(candidate))) return candidate;
  }
  return undefined;
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

async function isFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ?? false;
}

/** The name that errors give a file: its path from the folder, with `/`. */
export function nameInFolder(folder: string, file: string): string {
  return relative(resolve(folder), resolve(file)).split(sep).join('/');
}

/** Throws an UnusableAlterationError. */
export async function readBytes(folder: string, file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (cause) {
    const name = nameInFolder(folder, file);
    const reason = cause instanceof Error ? cause.message : String(cause);
    const message = `"${name}" cannot be read: ${reason}.`;
    throw new UnusableAlterationError(message, { problems: [{ file: name, message }], cause });
  }
}
