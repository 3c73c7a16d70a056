import { distance } from 'fastest-levenshtein';
import { z } from 'zod';
import { longestDurationMs, parseDuration } from '../core/duration.ts';
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

/** How a setting can be given, besides its flag. */
export interface SettingDefinition {
  /** commander's spelling: `--lock-wait <duration>`. */
  readonly flag: string;
  readonly description: string;
  /** Variables after ALTERATION_…, in order of precedence. */
  readonly variables?: readonly string[];
  /** Whether the config file may hold it. */
  readonly inConfigFile: boolean;
  readonly schema: z.ZodType<unknown>;
  /** As help and the reference show it. */
  readonly shownDefault?: string;
}

const truths = new Map([
  ['1', true],
  ['true', true],
  ['yes', true],
  ['on', true],
  ['0', false],
  ['false', false],
  ['no', false],
  ['off', false],
  ['', false],
]);

const booleanSchema = z
  .union([z.boolean(), z.string()], { error: 'expected true or false' })
  .transform((value, context) => {
    const parsed = typeof value === 'string' ? truths.get(value.toLowerCase()) : value;
    if (parsed !== undefined) return parsed;
    context.addIssue({ code: 'custom', message: `"${value}" is neither true nor false` });
    return z.NEVER;
  });
const switchSchema = booleanSchema.default(false);

const shortestKeepaliveMs = 3_000;

const durationSchema = z
  .string({ error: 'expected a duration such as 500ms, 5s or 2m' })
  .transform((text, context) => {
    const ms = parseDuration(text);
    if (ms !== undefined && ms <= longestDurationMs) return ms;
    const message =
      ms === undefined
        ? `"${text}" is not a duration; expected one with its unit, such as 500ms, 5s or 2m`
        : `"${text}" is too long; at most ${Math.floor(longestDurationMs / 3_600_000)}h`;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

/** Anything shorter would take a network that hesitates for one that is gone. */
const keepaliveSchema = durationSchema.refine((ms) => ms === 0 || ms >= shortestKeepaliveMs, {
  error: `expected ${shortestKeepaliveMs / 1_000}s or more, or 0`,
});

const textSchema = z.string({ error: 'expected a text' }).min(1, 'expected a text that is not empty');
const identifierSchema = textSchema.refine(
  (name) => Buffer.byteLength(name) <= 63,
  'PostgreSQL cuts names at 63 bytes',
);

/** A choice of words, told with the words in the message. */
function choiceSchema<const T extends readonly [string, ...string[]]>(words: T) {
  return z.enum(words, { error: ({ input }) => `"${String(input)}" is none of ${words.join(', ')}` });
}

/** Every setting there is. Help, environment, config file and the reference in the docs are made from it. */
export const settingDefinitions = {
  dbUrl: {
    flag: '--db-url <url>',
    description:
      'the database: postgres://user:password@host:port/name or embedded:<folder>; without it the PG* variables',
    variables: ['DB_URL', 'DATABASE_URL'],
    inConfigFile: true,
    schema: textSchema.optional(),
  },
  dir: {
    flag: '--dir <folder>',
    description: 'the alterations folder',
    inConfigFile: true,
    schema: textSchema.default(defaultFolder),
    shownDefault: defaultFolder,
  },
  historySchema: {
    flag: '--history-schema <name>',
    description: 'schema of the history table',
    inConfigFile: true,
    schema: identifierSchema.default(defaultHistorySchema),
    shownDefault: defaultHistorySchema,
  },
  historyTable: {
    flag: '--history-table <name>',
    description: 'name of the history table',
    inConfigFile: true,
    schema: identifierSchema.default(defaultHistoryTable),
    shownDefault: defaultHistoryTable,
  },
  lockWait: {
    flag: '--lock-wait <duration>',
    description: 'how long to wait while another instance alters the database',
    inConfigFile: true,
    schema: durationSchema.default(defaultLockWaitMs),
    shownDefault: '5m',
  },
  lockTimeout: {
    flag: '--lock-timeout <duration>',
    description:
      "how long an alteration's statement waits for locks of others, who queue behind it; 0: no limit",
    inConfigFile: true,
    schema: durationSchema.default(defaultLockTimeoutMs),
    shownDefault: '3s',
  },
  lockDeadline: {
    flag: '--lock-deadline <duration>',
    description: 'how long an alteration that did not get its locks is tried again',
    inConfigFile: true,
    schema: durationSchema.default(defaultLockDeadlineMs),
    shownDefault: '5m',
  },
  grace: {
    flag: '--grace <duration>',
    description: 'how long the alteration under way may go on after the first SIGTERM or SIGINT',
    inConfigFile: true,
    schema: durationSchema.default(defaultGraceMs),
    shownDefault: '10s',
  },
  connectWait: {
    flag: '--connect-wait <duration>',
    description: 'how long to try while the database is not reachable or not ready',
    inConfigFile: true,
    schema: durationSchema.default(defaultConnectWaitMs),
    shownDefault: '30s',
  },
  keepalive: {
    flag: '--keepalive <duration>',
    description:
      'after which a connection without a sign of the other side is given up; 0: as the systems are set',
    inConfigFile: true,
    schema: keepaliveSchema.default(defaultKeepaliveMs),
    shownDefault: '25s',
  },
  pooler: {
    flag: '--pooler <kind>',
    description: 'auto (found out), transaction (behind a pooler in transaction mode) or none',
    inConfigFile: true,
    schema: choiceSchema(['auto', 'transaction', 'none']).default('auto'),
    shownDefault: 'auto',
  },
  directUrl: {
    flag: '--direct-url <url>',
    description: 'the same database without the pooler in between; preferred when given',
    variables: ['DIRECT_DB_URL'],
    inConfigFile: true,
    schema: textSchema.optional(),
  },
  strictOrder: {
    flag: '--strict-order',
    description: 'refuse alterations that are ordered before an applied one',
    inConfigFile: true,
    schema: switchSchema,
  },
  allowEdited: {
    flag: '--allow-edited',
    description: 'accept applied files that were edited since',
    inConfigFile: false,
    schema: switchSchema,
  },
  atomic: {
    flag: '--atomic',
    description: 'apply all that is pending in one transaction: all of it or nothing',
    inConfigFile: true,
    schema: switchSchema,
  },
  allowLower: {
    flag: '--allow-lower',
    description: 'accept a version lower than one that has alterations already',
    inConfigFile: false,
    schema: switchSchema,
  },
  dryRun: {
    flag: '--dry-run',
    description: 'show what would be done and change nothing',
    inConfigFile: false,
    schema: switchSchema,
  },
  pending: {
    flag: '--pending',
    description: 'only what is not applied yet',
    inConfigFile: false,
    schema: switchSchema,
  },
  wait: {
    flag: '--wait <duration>',
    description: 'wait this long for the database to be up to date',
    inConfigFile: false,
    schema: durationSchema.default(0),
  },
  ci: {
    flag: '--ci',
    description: 'check the files alone, without a database: names, order, released files, modules, SQL',
    inConfigFile: false,
    schema: switchSchema,
  },
  sql: { flag: '--sql', description: 'write a .sql file', inConfigFile: false, schema: switchSchema },
  sqlPair: {
    flag: '--sql-pair',
    description: 'write a .up.sql and a .down.sql file',
    inConfigFile: false,
    schema: switchSchema,
  },
  yes: {
    flag: '--yes',
    description: 'do not ask for confirmation',
    inConfigFile: false,
    schema: switchSchema,
  },
  json: {
    flag: '--json',
    description: 'print one JSON document on stdout',
    inConfigFile: false,
    schema: switchSchema,
  },
  output: {
    flag: '--output <kind>',
    description: 'for whom the log is: github, gitlab, plain, or auto (what the environment tells)',
    inConfigFile: true,
    schema: choiceSchema(['auto', 'plain', 'github', 'gitlab']).default('auto'),
    shownDefault: 'auto',
  },
  logLevel: {
    flag: '--log-level <level>',
    description: 'debug, info, warn, error or silent',
    inConfigFile: true,
    schema: choiceSchema(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
    shownDefault: 'info',
  },
  logFormat: {
    flag: '--log-format <format>',
    description: 'pretty or json; pretty on a terminal and in the log of GitHub or GitLab, json elsewhere',
    inConfigFile: true,
    schema: choiceSchema(['pretty', 'json']).optional(),
  },
  color: {
    flag: '--no-color',
    description: 'no colours; NO_COLOR and FORCE_COLOR are heeded too',
    inConfigFile: false,
    schema: booleanSchema.optional(),
  },
  envFile: {
    flag: '--env-file <file>',
    description: 'file of environment variables',
    inConfigFile: false,
    schema: textSchema.optional(),
    shownDefault: '.env, if there is one',
  },
  config: {
    flag: '--config <file>',
    description: 'config file',
    inConfigFile: false,
    schema: textSchema.optional(),
    shownDefault: 'alteration.config.ts, .js or .json, if there is one',
  },
} as const satisfies Readonly<Record<string, SettingDefinition>>;

export type SettingName = keyof typeof settingDefinitions;
export type Settings = { readonly [N in SettingName]: z.output<(typeof settingDefinitions)[N]['schema']> };

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

/** Parses what was given for each setting. Throws a ConfigurationError with all problems at once. */
export function parseSettings(given: ReadonlyMap<string, GivenValue>): Settings {
  const problems: Problem[] = [];
  const parsed = Object.entries(settingDefinitions).map(([name, { schema }]) => {
    const result = schema.safeParse(given.get(name)?.value);
    if (!result.success) {
      const source = given.get(name)?.source ?? name;
      problems.push(...result.error.issues.map(({ message }) => ({ message: `${source}: ${message}.` })));
    }
    return [name, result.data];
  });
  if (problems.length > 0) throw settingsError(problems);
  return Object.fromEntries(parsed) as Settings; // one parsed value for each definition
}

/** The nearest of the candidates, when it is near enough to be what was meant. */
export function suggest(word: string, candidates: readonly string[]): string | undefined {
  const ranked = candidates
    .map((candidate) => ({ candidate, edits: distance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((left, right) => left.edits - right.edits);
  const [best] = ranked;
  return best && best.edits <= Math.max(1, Math.floor(best.candidate.length / 3))
    ? best.candidate
    : undefined;
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
