import { dirname } from 'node:path';
import { pathToFileURL } from 'node:url';

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
  try {
    return describeExports(await import(pathToFileURL(path).href));
  } catch (error) {
    if (!isRefusal(error, path)) throw error;
    return importWithJiti(path);
  }
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
  return error instanceof Error && 'code' in error && typeScriptCodes.has(String(error.code));
}

function hasFrameIn({ stack = '' }: Error, folder: string): boolean {
  const prefix = `${pathToFileURL(folder).href}/`;
  return stack.split('\n').some((line) => /^\s+at /.test(line) && line.includes(prefix));
}

/** Whether it is what a module exports that was compiled to CommonJS. */
function isCompiled(value: unknown): value is { readonly default: unknown } {
  return typeof value === 'object' && value !== null && '__esModule' in value && 'default' in value;
}
