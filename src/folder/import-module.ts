import { readFileSync } from 'node:fs';
import { createRequire, findPackageJSON } from 'node:module';
import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';
import { types } from 'node:util';
import { once } from '../core/once.ts';

/** Codes with which Node says that it does not take TypeScript as it is written here, before running any of it. */
const typeScriptCodes = new Set([
  'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX',
  'ERR_INVALID_TYPESCRIPT_SYNTAX',
  'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING',
  'ERR_MODULE_NOT_FOUND',
  'ERR_UNKNOWN_FILE_EXTENSION',
  'ERR_UNSUPPORTED_DIR_IMPORT',
  'ERR_REQUIRE_ESM',
]);

// Node keeps a module, and what it imports, for the life of the process; so does this what the first one was.
// An edited one must be read anew, and so must what is new beside it: it may import what was edited too.
const imported = new Map<string, string>();
const editedFolders = new Set<string>();
const commonJsFolders = new Map<string, boolean>();

/** What a module exports. */
export interface ModuleExports {
  readonly default: unknown;
  /** By their names; `default` is among them. */
  readonly named: Readonly<Record<string, unknown>>;
}

/**
 * Imports a TypeScript or JavaScript module. Node's own type stripping is the fast path; where Node refuses
 * (enums, `./x.js` for a file `x.ts`, a CommonJS package), jiti takes over.
 */
export async function importModule(path: string, checksum = ''): Promise<ModuleExports> {
  const known = imported.get(path);
  if (known !== undefined && known !== checksum) editedFolders.add(dirname(path));
  if (known === undefined ? editedFolders.has(dirname(path)) : known !== checksum)
    return importWithJiti(path);
  imported.set(path, checksum);
  const isOfCommonJs = isCommonJs(path);
  if (isOfCommonJs && path.endsWith('.ts')) return importWithJiti(path); // Node would take it for CommonJS, and warn
  try {
    return describeExports(
      (isOfCommonJs ? undefined : requireModule(path)) ?? (await import(pathToFileURL(path).href)),
    );
  } catch (error) {
    if (!isRefusal(error, path)) throw error;
    return importWithJiti(path);
  }
}

/** Whether Node takes `.js` and `.ts` there for CommonJS: of a module in such a file, a `require` would warn. */
function isCommonJs(file: string): boolean {
  const folder = dirname(file);
  const known = commonJsFolders.get(folder) ?? typeOfPackage(file) === 'commonjs';
  commonJsFolders.set(folder, known);
  return known;
}

function typeOfPackage(file: string): unknown {
  try {
    const path = findPackageJSON(pathToFileURL(file));
    return path === undefined ? undefined : JSON.parse(readFileSync(path, 'utf8'))?.type;
  } catch {
    return undefined; // told by Node, which reads it too
  }
}

const requireByPath = once(() => createRequire(import.meta.url));

/** The module without the promises of an import, which take as long as it does; undefined where only an import can. */
function requireModule(path: string): object | undefined {
  try {
    const exported: object = requireByPath()(path);
    // Of CommonJS it is what the module exports, whatever that is: an import gives it as the default.
    return types.isModuleNamespaceObject(exported) ? exported : { ...exported, default: exported };
  } catch (error) {
    if (onlyImported.has(codeOf(error))) return undefined; // told before any of it runs
    throw error;
  }
}

/** Of a module that awaits at its top, or imports one that does. */
const onlyImported = new Set(['ERR_REQUIRE_ASYNC_MODULE', 'ERR_REQUIRE_CYCLE_MODULE']);

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

async function importWithJiti(path: string): Promise<ModuleExports> {
  const { createJiti } = await import('jiti');
  const jiti = createJiti(path, {
    fsCache: false,
    moduleCache: false,
    tryNative: false,
    interopDefault: false,
  });
  return describeExports(await jiti.import<object>(path));
}

function describeExports(module: object): ModuleExports {
  const found = 'default' in module ? module.default : undefined;
  return isCompiled(found)
    ? { default: found.default, named: { ...found } }
    : { default: found, named: { ...module } };
}

function isRefusal(error: unknown, path: string): boolean {
  // Of the module itself (an import that is a type, ESM in a CommonJS package), not thrown by what it runs.
  if (error instanceof SyntaxError) return !hasFrameIn(error, dirname(path));
  return typeScriptCodes.has(codeOf(error));
}

function hasFrameIn({ stack = '' }: Error, folder: string): boolean {
  const prefix = `${pathToFileURL(folder).href}/`;
  return stack.split('\n').some((line) => /^\s+at /.test(line) && line.includes(prefix));
}

/** Whether it is what a module exports that was compiled to CommonJS. */
function isCompiled(value: unknown): value is { readonly default: unknown } {
  return typeof value === 'object' && value !== null && '__esModule' in value && 'default' in value;
}
