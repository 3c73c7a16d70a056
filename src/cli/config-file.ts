import { existsSync, readFileSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { ConfigurationError } from '../core/errors.ts';
import type { RowOptions } from '../postgres/connect.ts';
import { type GivenValue, type SettingDefinition, settingDefinitions, settingsError } from './settings.ts';

/** What a config file says: settings, and how rows come back to scripts. */
export interface ConfigFile {
  readonly given: ReadonlyMap<string, GivenValue>;
  readonly rows?: RowOptions;
}

const names = ['ts', 'mts', 'js', 'mjs', 'json'].map((extension) => `alteration.config.${extension}`);
const allowedKeys = Object.entries(settingDefinitions)
  .filter(([, definition]: [string, SettingDefinition]) => definition.inConfigFile)
  .map(([name]) => name);

/** Reads the named config file, or the one in the folder if there is one. Throws a ConfigurationError. */
export async function readConfigFile(cwd: string, named: string | undefined): Promise<ConfigFile> {
  const file = named ?? findFirst(cwd);
  if (file === undefined) return { given: new Map() };
  const content = await loadContent(resolve(cwd, file), file);
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    const expected = extname(file) === '.json' ? 'an object' : 'an object as its default export';
    throw new ConfigurationError(`The config file "${file}" holds no settings; expected ${expected}.`);
  }
  const { rows, ...settings } = content as Record<string, unknown>; // an object has just been seen
  await refuseUnknown(Object.keys(settings), file);
  const given = Object.entries(settings).map(
    ([name, value]) => [name, { value, source: `${name} in ${file}` }] as const,
  );
  return { given: new Map(given), ...(rows === undefined ? {} : { rows: await parseRows(rows, file) }) };
}

function findFirst(cwd: string): string | undefined {
  return names.find((name) => existsSync(join(cwd, name)));
}

async function loadContent(path: string, file: string): Promise<unknown> {
  if (!existsSync(path)) throw new ConfigurationError(`The config file "${file}" does not exist.`);
  try {
    if (extname(path) === '.json') return JSON.parse(readFileSync(path, 'utf8'));
    const { importModule } = await import('../folder/import-module.ts');
    return (await importModule(path)).default;
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new ConfigurationError(
      `The config file "${file}" cannot be loaded: ${reason.trim().replace(/\.$/, '')}.`,
      { cause: error },
    );
  }
}

async function refuseUnknown(keys: readonly string[], file: string): Promise<void> {
  const unknown = keys.filter((key) => !allowedKeys.includes(key));
  if (unknown.length === 0) return;
  const { suggest } = await import('./suggest.ts');
  const known = [...allowedKeys, 'rows'];
  const problems = unknown.map((key) => {
    const near = suggest(key, known);
    return { message: `"${key}" in "${file}" is no setting${near ? `; did you mean "${near}"?` : '.'}` };
  });
  throw settingsError(problems, `Settings of a config file: ${known.join(', ')}.`);
}

async function parseRows(rows: unknown, file: string): Promise<RowOptions> {
  if (rows === 'logto') return (await import('../postgres/row-presets.ts')).logtoRows;
  if (isRowOptions(rows)) {
    const { interceptors, typeParsers } = rows;
    return { ...(interceptors ? { interceptors } : {}), ...(typeParsers ? { typeParsers } : {}) };
  }
  throw new ConfigurationError(
    `"rows" in "${file}" is neither "logto" nor an object with slonik's interceptors and typeParsers.`,
  );
}

function isRowOptions(rows: unknown): rows is RowOptions {
  if (!isObject(rows) || Array.isArray(rows)) return false;
  const { interceptors, typeParsers, ...others } = rows as { readonly [N in keyof RowOptions]: unknown };
  return (
    Object.keys(others).length === 0 &&
    isListOf(interceptors, isObject) &&
    isListOf(typeParsers, (one) => isObject(one) && 'parse' in one)
  );
}

/** Or is not there. */
function isListOf(value: unknown, isOne: (value: unknown) => boolean): boolean {
  return value === undefined || (Array.isArray(value) && value.every(isOne));
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
