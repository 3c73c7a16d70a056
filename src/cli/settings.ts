import { ConfigurationError, type Problem } from '../core/errors.ts';
import {
  defaultConnectWaitMs,
  defaultFolder,
  defaultGraceMs,
  defaultHistorySchema,
  defaultHistoryTable,
  defaultKeepaliveMs,
  defaultLockDeadlineMs,
  defaultLockTimeoutMs,
  defaultLockWaitMs,
} from '../operations/options.ts';
import {
  choiceOf,
  optional,
  type ParseValue,
  parseBoolean,
  parseDurationValue,
  parseIdentifier,
  parseKeepalive,
  parseText,
  withDefault,
} from './setting-values.ts';

/** How a setting can be given, besides its flag. */
export interface SettingDefinition {
  /** commander's spelling: `--lock-wait <duration>`. */
  readonly flag: string;
  readonly description: string;
  /** Variables after ALTERATION_…, in order of precedence. */
  readonly variables?: readonly string[];
  /** Whether the config file may hold it. */
  readonly inConfigFile: boolean;
  readonly parse: ParseValue<unknown>;
  /** The words that it may be, where it is one of some. */
  readonly choices?: readonly string[];
  /** As help and the reference show it. */
  readonly shownDefault?: string;
}

const poolers = ['auto', 'transaction', 'none'] as const;
const outputs = ['auto', 'plain', 'github', 'gitlab'] as const;
const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
const logFormats = ['pretty', 'json'] as const;
const parseSwitch = withDefault(parseBoolean, false);

/** Every setting there is. Help, environment, config file and the reference in the docs are made from it. */
export const settingDefinitions = {
  dbUrl: {
    flag: '--db-url <url>',
    description:
      'the database: postgres://user:password@host:port/name or embedded:<folder>; without it the PG* variables',
    variables: ['DB_URL', 'DATABASE_URL'],
    inConfigFile: true,
    parse: optional(parseText),
  },
  dir: {
    flag: '--dir <folder>',
    description: 'the alterations folder',
    inConfigFile: true,
    parse: withDefault(parseText, defaultFolder),
    shownDefault: defaultFolder,
  },
  historySchema: {
    flag: '--history-schema <name>',
    description: 'schema of the history table',
    inConfigFile: true,
    parse: withDefault(parseIdentifier, defaultHistorySchema),
    shownDefault: defaultHistorySchema,
  },
  historyTable: {
    flag: '--history-table <name>',
    description: 'name of the history table',
    inConfigFile: true,
    parse: withDefault(parseIdentifier, defaultHistoryTable),
    shownDefault: defaultHistoryTable,
  },
  lockWait: {
    flag: '--lock-wait <duration>',
    description: 'how long to wait while another instance alters the database',
    inConfigFile: true,
    parse: withDefault(parseDurationValue, defaultLockWaitMs),
    shownDefault: '5m',
  },
  lockTimeout: {
    flag: '--lock-timeout <duration>',
    description:
      "how long an alteration's statement waits for locks of others, who queue behind it; 0: no limit",
    inConfigFile: true,
    parse: withDefault(parseDurationValue, defaultLockTimeoutMs),
    shownDefault: '3s',
  },
  lockDeadline: {
    flag: '--lock-deadline <duration>',
    description: 'how long an alteration that did not get its locks is tried again',
    inConfigFile: true,
    parse: withDefault(parseDurationValue, defaultLockDeadlineMs),
    shownDefault: '5m',
  },
  grace: {
    flag: '--grace <duration>',
    description: 'how long the alteration under way may go on after the first SIGTERM or SIGINT',
    inConfigFile: true,
    parse: withDefault(parseDurationValue, defaultGraceMs),
    shownDefault: '10s',
  },
  connectWait: {
    flag: '--connect-wait <duration>',
    description: 'how long to try while the database is not reachable or not ready',
    inConfigFile: true,
    parse: withDefault(parseDurationValue, defaultConnectWaitMs),
    shownDefault: '30s',
  },
  keepalive: {
    flag: '--keepalive <duration>',
    description:
      'after which a connection without a sign of the other side is given up; 0: as the systems are set',
    inConfigFile: true,
    parse: withDefault(parseKeepalive, defaultKeepaliveMs),
    shownDefault: '25s',
  },
  pooler: {
    flag: '--pooler <kind>',
    description: 'auto (found out), transaction (behind a pooler in transaction mode) or none',
    inConfigFile: true,
    choices: poolers,
    parse: withDefault(choiceOf(poolers), 'auto'),
    shownDefault: 'auto',
  },
  directUrl: {
    flag: '--direct-url <url>',
    description: 'the same database without the pooler in between; preferred when given',
    variables: ['DIRECT_DB_URL'],
    inConfigFile: true,
    parse: optional(parseText),
  },
  strictOrder: {
    flag: '--strict-order',
    description: 'refuse alterations that are ordered before an applied one',
    inConfigFile: true,
    parse: parseSwitch,
  },
  allowEdited: {
    flag: '--allow-edited',
    description: 'accept applied files that were edited since',
    inConfigFile: false,
    parse: parseSwitch,
  },
  atomic: {
    flag: '--atomic',
    description: 'apply all that is pending in one transaction: all of it or nothing',
    inConfigFile: true,
    parse: parseSwitch,
  },
  allowLower: {
    flag: '--allow-lower',
    description: 'accept a version lower than one that has alterations already',
    inConfigFile: false,
    parse: parseSwitch,
  },
  dryRun: {
    flag: '--dry-run',
    description: 'show what would be done and change nothing',
    inConfigFile: false,
    parse: parseSwitch,
  },
  pending: {
    flag: '--pending',
    description: 'only what is not applied yet',
    inConfigFile: false,
    parse: parseSwitch,
  },
  wait: {
    flag: '--wait <duration>',
    description: 'wait this long for the database to be up to date',
    inConfigFile: false,
    parse: withDefault(parseDurationValue, 0),
  },
  ci: {
    flag: '--ci',
    description: 'check the files alone, without a database: names, order, released files, modules, SQL',
    inConfigFile: false,
    parse: parseSwitch,
  },
  sql: { flag: '--sql', description: 'write a .sql file', inConfigFile: false, parse: parseSwitch },
  sqlPair: {
    flag: '--sql-pair',
    description: 'write a .up.sql and a .down.sql file',
    inConfigFile: false,
    parse: parseSwitch,
  },
  yes: {
    flag: '--yes',
    description: 'do not ask for confirmation',
    inConfigFile: false,
    parse: parseSwitch,
  },
  json: {
    flag: '--json',
    description: 'print one JSON document on stdout',
    inConfigFile: false,
    parse: parseSwitch,
  },
  output: {
    flag: '--output <kind>',
    description: 'for whom the log is: github, gitlab, plain, or auto (what the environment tells)',
    inConfigFile: true,
    choices: outputs,
    parse: withDefault(choiceOf(outputs), 'auto'),
    shownDefault: 'auto',
  },
  logLevel: {
    flag: '--log-level <level>',
    description: 'debug, info, warn, error or silent',
    inConfigFile: true,
    choices: logLevels,
    parse: withDefault(choiceOf(logLevels), 'info'),
    shownDefault: 'info',
  },
  logFormat: {
    flag: '--log-format <format>',
    description: 'pretty or json; pretty on a terminal and in the log of GitHub or GitLab, json elsewhere',
    inConfigFile: true,
    choices: logFormats,
    parse: optional(choiceOf(logFormats)),
  },
  color: {
    flag: '--no-color',
    description: 'no colours; NO_COLOR and FORCE_COLOR are heeded too',
    inConfigFile: false,
    parse: optional(parseBoolean),
  },
  envFile: {
    flag: '--env-file <file>',
    description: 'file of environment variables',
    inConfigFile: false,
    parse: optional(parseText),
    shownDefault: '.env, if there is one',
  },
  config: {
    flag: '--config <file>',
    description: 'config file',
    inConfigFile: false,
    parse: optional(parseText),
    shownDefault: 'alteration.config.ts, .js or .json, if there is one',
  },
} as const satisfies Readonly<Record<string, SettingDefinition>>;

export type SettingName = keyof typeof settingDefinitions;
export type Settings = {
  readonly [N in SettingName]: (typeof settingDefinitions)[N]['parse'] extends ParseValue<infer T>
    ? T
    : never;
};

/** A value as it was given, and where: `--lock-wait`, `ALTERATION_LOCK_WAIT`, `lockWait in alteration.config.ts`. */
export interface GivenValue {
  readonly value: unknown;
  readonly source: string;
}

/** Names of the environment variables of a setting, in order of precedence. */
export function variablesOf(name: SettingName): readonly string[] {
  const definition: SettingDefinition = settingDefinitions[name];
  return [`ALTERATION_${toUpperSnakeCase(name)}`, ...(definition.variables ?? [])];
}

/** The flag itself, `--lock-wait`, without the value that it takes. */
export function flagOf(name: SettingName): string {
  return settingDefinitions[name].flag.split(' ')[0] ?? name;
}

/** Parses what was given for each setting. Throws a ConfigurationError with all problems at once. */
export function parseSettings(given: ReadonlyMap<string, GivenValue>): Settings {
  const problems: Problem[] = [];
  const parsed = Object.entries(settingDefinitions).map(([name, { parse }]) => {
    const result = parse(given.get(name)?.value);
    if ('value' in result) return [name, result.value];
    problems.push({ message: `${given.get(name)?.source ?? name}: ${result.problem}.` });
    return [name, undefined];
  });
  if (problems.length > 0) throw settingsError(problems);
  return Object.fromEntries(parsed) as Settings; // one parsed value for each definition
}

/** The error for problems of settings: one stands in the message itself, more are listed. */
export function settingsError(problems: readonly Problem[], hint?: string): ConfigurationError {
  const [first] = problems;
  return problems.length === 1 && first
    ? new ConfigurationError(first.message, { hint })
    : new ConfigurationError(`${problems.length} settings are wrong.`, { problems, hint });
}

function toUpperSnakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}
