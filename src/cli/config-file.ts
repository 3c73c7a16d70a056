import { access, readFile } from 'node:fs/promises';
import { extname, join, resolve } from 'node:path';
import type { DriverTypeParser, Interceptor } from 'slonik';
import { z } from 'zod';
import { ConfigurationError } from '../core/errors.ts';
import { importModule } from '../folder/import-module.ts';
import type { RowOptions } from '../postgres/connect.ts';
import { logtoRows } from '../postgres/row-presets.ts';
import {
  type GivenValue,
  type SettingDefinition,
  settingDefinitions,
  settingsError,
  suggest,
} from './settings.ts';

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
  const file = named ?? (await findFirst(cwd));
  if (file === undefined) return { given: new Map() };
  const content = await loadContent(resolve(cwd, file), file);
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    const expected = extname(file) === '.json' ? 'an object' : 'an object as its default export';
    throw new ConfigurationError(`The config file "${file}" holds no settings; expected ${expected}.`);
  }
  const { rows, ...settings } = content as Record<string, unknown>; // an object has just been seen
  refuseUnknown(Object.keys(settings), file);
  const given = Object.entries(settings).map(
    ([name, value]) => [name, { value, source: `${name} in ${file}` }] as const,
  );
  return { given: new Map(given), ...(rows === undefined ? {} : { rows: parseRows(rows, file) }) };
}

async function findFirst(cwd: string): Promise<string | undefined> {
  for (const name of names) {
    if (await exists(join(cwd, name))) return name;
  }
  return undefined;
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function loadContent(path: string, file: string): Promise<unknown> {
  if (!(await exists(path))) throw new ConfigurationError(`The config file "${file}" does not exist.`);
  try {
    if (extname(path) === '.json') return JSON.parse(await readFile(path, 'utf8'));
    return (await importModule(path)).default;
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new ConfigurationError(
      `The config file "${file}" cannot be loaded: ${reason.trim().replace(/\.$/, '')}.`,
      { cause: error },
    );
  }
}

function refuseUnknown(keys: readonly string[], file: string): void {
  const unknown = keys.filter((key) => !allowedKeys.includes(key));
  if (unknown.length === 0) return;
  const known = [...allowedKeys, 'rows'];
  const problems = unknown.map((key) => {
    const near = suggest(key, known);
    return { message: `"${key}" in "${file}" is no setting${near ? `; did you mean "${near}"?` : '.'}` };
  });
  throw settingsError(problems, `Settings of a config file: ${known.join(', ')}.`);
}

const rowsSchema = z.union([
  z.literal('logto'),
  z.strictObject({
    interceptors: z
      .array(z.custom<Interceptor>((value) => typeof value === 'object' && value !== null))
      .optional(),
    typeParsers: z
      .array(
        z.custom<DriverTypeParser>(
          (value) => typeof value === 'object' && value !== null && 'parse' in value,
        ),
      )
      .optional(),
  }),
]);

function parseRows(rows: unknown, file: string): RowOptions {
  const parsed = rowsSchema.safeParse(rows);
  if (!parsed.success) {
    throw new ConfigurationError(
      `"rows" in "${file}" is neither "logto" nor an object with slonik's interceptors and typeParsers.`,
    );
  }
  if (parsed.data === 'logto') return logtoRows;
  const { interceptors, typeParsers } = parsed.data;
  return { ...(interceptors ? { interceptors } : {}), ...(typeParsers ? { typeParsers } : {}) };
}
