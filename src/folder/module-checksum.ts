import { hash } from 'node:crypto';
import { resolve } from 'node:path';
import { UnusableAlterationError } from '../core/errors.ts';
import { isModuleFile, nameInFolder, withoutExtension } from './module-files.ts';
import { type ModuleSources, moduleScheme } from './module-sources.ts';
import {
  dropUnused,
  type ErasedModule,
  type Origin,
  readErasedModule,
} from './module-syntax/erased-module.ts';
import { isTypeScript } from './module-syntax/parse-module.ts';
import { serialise, specifiersOf } from './module-syntax/serialise.ts';

/**
 * The checksum of a TypeScript or JavaScript alteration: of what its code does, and that of every file
 * inside the folder that it imports by a relative path, directly or through others.
 *
 * Types, formatting, comments, quotes, line ends and the place of an imported file do not count, nor does
 * whether the files are TypeScript or what tsc makes of them (ES modules, ES2022 or later, its own defaults).
 *
 * Limits. An import that nothing uses does not count, as tsc drops it; one for its effect alone is
 * `import './x.js'`. Files that the code reads in another way (`readFile`) and files outside of the folder do
 * not count. Not the same before and after tsc, though each has one checksum: a `namespace` with values, a
 * `const enum` whose values tsc writes in place, an enum with values of other files' enums or constants,
 * and what tsc rewrites for ES2022 but not for later targets (decorators, `accessor`, `using`); also
 * `export { T }` where `T` is a type of a package, which `export type` says clearly.
 *
 * Throws `UnusableAlterationError` with the place, where a file is not valid or not readable.
 */
export function checksumModule(path: string, modules: Modules): string {
  const entry = resolve(path);
  // Grows while it is walked: every file once, in the order in which they are first imported.
  const files = [entry];
  let described = '';
  for (const file of files) described += `${describe(file, files, modules)}\n`;
  modules.forget(entry);
  return `${moduleScheme}:${hash('sha256', described, 'hex')}`;
}

/** The parsed modules of a folder. */
export interface Modules {
  readonly sources: ModuleSources;
  readonly load: (file: string) => ErasedModule;
  /** Others seldom import an alteration: its tree need not be kept. */
  readonly forget: (file: string) => void;
}

export function openModules(sources: ModuleSources): Modules {
  const loaded = new Map<string, ErasedModule>();
  const load = (file: string): ErasedModule => {
    const known = loaded.get(file);
    if (known) return known;
    const module = readErasedModule(sources.readText(file), nameInFolder(sources.folder, file));
    loaded.set(file, module);
    return module;
  };
  return { sources, load, forget: (file) => loaded.delete(file) };
}

/** The text that stands for a file; adds the files it imports to `files`. */
function describe(file: string, files: string[], modules: Modules): string {
  try {
    return isModuleFile(file) ? describeModule(file, files, modules) : describeData(file, modules);
  } catch (error) {
    throw isTooDeep(error) ? tooDeep(nameInFolder(modules.sources.folder, file), error) : error;
  }
}

function describeModule(file: string, files: string[], modules: Modules): string {
  const module = modules.load(file);
  const program = dropUnused(module.program, exportedTypes(file, module, modules));
  const links = new Map<string, number>();
  for (const specifier of specifiersOf(program)) {
    const imported = modules.sources.resolve(file, specifier);
    if (imported === undefined) continue;
    if (!files.includes(imported)) files.push(imported);
    links.set(specifier, files.indexOf(imported));
  }
  return serialise(program, (specifier) => links.get(specifier) ?? withoutExtension(specifier));
}

/** Trees are walked by recursion, here and in the parser: some thousand operands in a row are too many. */
function isTooDeep(error: unknown): boolean {
  return error instanceof RangeError;
}

function tooDeep(name: string, cause: unknown): UnusableAlterationError {
  const message = `"${name}" is nested too deeply: split its longest expression.`;
  return new UnusableAlterationError(message, { problems: [{ file: name, message }], cause });
}

function describeData(file: string, { sources }: Modules): string {
  const bytes = sources.readBytes(file);
  const content = file.endsWith('.json') ? jsonOf(bytes.toString('utf8')) : undefined;
  return JSON.stringify(content === undefined ? ['bytes', bytes.toString('base64')] : ['json', content]);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The exports that turn out to be types of other modules. */
function exportedTypes(file: string, module: ErasedModule, modules: Modules): Set<string> {
  const types = new Set<string>();
  for (const [name, origin] of module.exports) {
    if (isType(origin, file, modules, new Set())) types.add(name);
  }
  return types;
}

function isType(origin: Origin, importer: string, modules: Modules, seen: Set<string>): boolean {
  if (typeof origin === 'string') return origin === 'type';
  const file = modules.sources.resolve(importer, origin.specifier);
  if (file === undefined || !isTypeScript(file)) return false;
  const key = `${file} ${origin.name}`;
  if (seen.has(key)) return false;
  seen.add(key);
  const { exports, stars } = modules.load(file);
  const found = exports.get(origin.name);
  if (found !== undefined) return isType(found, file, modules, seen);
  for (const specifier of stars) {
    if (isType({ specifier, name: origin.name }, file, modules, seen)) return true;
  }
  return false;
}
