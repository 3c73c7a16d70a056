import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { ConfigurationError, UsageError } from '../core/errors.ts';
import { connectionStringFromEnvironment } from '../postgres/connection-string.ts';
import type { Host } from './host.ts';
import { type GivenValue, type SettingName, settingDefinitions, variablesOf } from './settings.ts';

/**
 * Reads the values of the `.env` file (or the one named), and adds them to the environment where it has none of that
 * name. Values may span lines. Throws a ConfigurationError for a named file that cannot be read.
 */
export function loadEnvFile({ env, cwd }: Host, named: string | undefined): Host['env'] {
  const path = resolve(cwd, named ?? '.env');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const absent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (absent && named === undefined) return {};
    const reason = absent ? 'it does not exist' : error instanceof Error ? error.message : String(error);
    throw new ConfigurationError(`The env file "${named ?? '.env'}" cannot be read: ${reason}.`, {
      cause: error,
    });
  }
  const values: Host['env'] = parseEnv(text);
  for (const [name, value] of Object.entries(values)) env[name] ??= value;
  return values;
}

/** What an environment, or the values of an env file, say of the settings. */
export function readEnvironment(env: Host['env']): ReadonlyMap<string, GivenValue> {
  const given = new Map<string, GivenValue>();
  for (const name of Object.keys(settingDefinitions) as SettingName[]) {
    const variable = variablesOf(name).find(
      (candidate) => env[candidate] !== undefined && env[candidate] !== '',
    );
    if (variable) given.set(name, { value: env[variable], source: variable });
  }
  return given;
}

/** The database that an environment names by libpq's variables, where it names none by a URL. */
export function readLibpqDatabase(
  env: Host['env'],
  given: ReadonlyMap<string, GivenValue>,
): ReadonlyMap<string, GivenValue> {
  const url = given.has('dbUrl') ? undefined : connectionStringFromEnvironment(env);
  return new Map(url === undefined ? [] : [['dbUrl', { value: url, source: "libpq's variables" }]]);
}

/** Options that npm knows too: a user's own npm settings may hold them, and losing them harms nobody. */
const npmOwn = new Set(['yes', 'color']);

/** npm keeps options that stand before `--` for itself: a lost --dry-run would alter for real. Throws a UsageError. */
export function refuseSwallowedOptions({ env, argv }: Host): void {
  const script = env['npm_lifecycle_event'];
  if (!script) return;
  const swallowed = Object.entries(settingDefinitions).flatMap(([name, { flag }]) => {
    const [option = ''] = flag.split(' ');
    const value = env[`npm_config_${option.slice(2).replaceAll('-', '_')}`] ?? readExpanded(env, name);
    const lost = value && value !== 'false' && !argv.some((argument) => argument.split('=')[0] === option);
    return lost && !npmOwn.has(name) ? [flag] : [];
  });
  if (swallowed.length === 0) return;
  const options = swallowed.map((flag) => flag.split(' ')[0]).join(' and ');
  throw new UsageError(`npm kept ${options} for itself; nothing was done.`, {
    hint: `Put "--" before the options: npm run ${[script, ...listKept(argv, swallowed), '--', ...swallowed].join(' ')}`,
  });
}

/** npm takes `--ci` for the beginning of its own `--cidr`. */
function readExpanded(env: Host['env'], name: string): string | undefined {
  return name === 'ci' && env['npm_config_cidr'] === 'true' ? 'true' : undefined;
}

/** The arguments, unless npm has left the value of an option it kept among them: which one that is, nobody knows. */
function listKept(argv: readonly string[], swallowed: readonly string[]): readonly string[] {
  return swallowed.some((flag) => flag.includes(' ')) ? ['<command>'] : argv;
}
