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

/** What a module exports. */
export interface ModuleExports {
  readonly default: unknown;
  readonly names: readonly string[];
}

/**
 * Imports a TypeScript or JavaScript module. Node's own type stripping is the fast path; where Node refuses
 * (enums, `./x.js` for a file `x.ts`, a CommonJS package), jiti takes over.
 */
export async function importModule(path: string): Promise<ModuleExports> {
  try {
    return describeExports(await import(pathToFileURL(path).href));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    const { createJiti } = await import('jiti');
    const jiti = createJiti(path, { fsCache: false, moduleCache: false, interopDefault: false });
    return describeExports(await jiti.import<object>(path));
  }
}

function describeExports(module: object): ModuleExports {
  const found = 'default' in module ? module.default : undefined;
  return { default: unwrapDefault(found), names: Object.keys(module) };
}

function isRefusal(error: unknown): boolean {
  if (error instanceof SyntaxError) return true; // an import that is a type, or ESM in a CommonJS package
  return error instanceof Error && 'code' in error && typeScriptCodes.has(String(error.code));
}

/** `exports.default` of a module that was compiled to CommonJS. */
function unwrapDefault(value: unknown): unknown {
  const compiled = typeof value === 'object' && value !== null && '__esModule' in value && 'default' in value;
  return compiled ? value.default : value;
}
