import type { SettingName } from './settings.ts';

/** A command as help, completion and the program know it; what it does stands in `run-command.ts`. */
export interface CommandDefinition {
  readonly summary: string;
  readonly description: string;
  readonly argument?: {
    readonly name: string;
    readonly need: 'required' | 'optional';
    readonly description: string;
    readonly choices?: readonly string[];
  };
  readonly settings: readonly SettingName[];
  readonly examples: readonly (readonly [command: string, purpose: string])[];
}

const common = ['config', 'envFile', 'output', 'json', 'color'] as const;
const folder = ['dir'] as const;
const database = [
  'dbUrl',
  'directUrl',
  'dir',
  'historySchema',
  'historyTable',
  'connectWait',
  'pooler',
  'keepalive',
] as const;
const turn = ['lockWait', 'lockTimeout', 'lockDeadline', 'grace'] as const;
const logs = ['logLevel', 'logFormat'] as const;

const target = { name: 'target', choices: ['latest', 'next'] } as const;
const targetWords = 'latest (every released alteration), next (all of them) or a version such as 1.4.0';

/** All there is to say to the program, in one place. */
export const commandDefinitions = {
  deploy: {
    summary: 'apply what is pending',
    description:
      'Applies what is pending within the target, in order, each alteration in a transaction with its history row. Without a target it offers the versions on a terminal, and means latest elsewhere. It never goes back; see rollback.',
    argument: { ...target, need: 'optional', description: targetWords },
    settings: [...database, 'dryRun', 'strictOrder', 'allowEdited', 'atomic', ...turn, ...logs, ...common],
    examples: [
      ['deploy latest', 'apply every released alteration'],
      ['deploy 1.4.0 --dry-run', 'show what 1.4.0 would bring'],
      ['deploy next', 'also what is not released yet'],
    ],
  },
  rollback: {
    summary: 'take back what is newer than a version',
    description:
      'Runs down of everything newer than the target, newest first. Refuses before touching anything when one has no down or its file is missing. Asks on a terminal; needs --yes elsewhere.',
    argument: {
      ...target,
      need: 'required',
      description: 'the version to go back to; 0.0.0 takes back everything',
    },
    settings: [...database, 'dryRun', 'yes', 'allowEdited', ...turn, ...logs, ...common],
    examples: [
      ['rollback 1.3.0', 'take back what came after 1.3.0'],
      ['rollback latest --yes', 'take back what is not released, without asking'],
    ],
  },
  list: {
    summary: 'show every alteration with its state',
    description:
      'Shows every alteration: applied, pending, late (pending, but ordered before an applied one), missing (applied, but without a file) or edited (applied, and changed since).',
    settings: [...database, 'pending', ...common],
    examples: [
      ['list', 'the whole history'],
      ['list --pending --json', 'what is not applied yet, for a program'],
    ],
  },
  status: {
    summary: 'show the database at a glance',
    description:
      'Shows which version the database is at, what is pending, the last deploy and who holds the lock.',
    settings: [...database, ...common],
    examples: [['status', 'one screen']],
  },
  check: {
    summary: 'tell by exit code whether the database is up to date, or the folder sound',
    description:
      'For pipelines and probes: exit code 0 when the database is up to date with the target, 3 when alterations are pending, 8 when an applied file was edited. Takes no lock and writes nothing. With --ci it needs no database and checks the folder: names, new alterations that sort before older ones, released files that were edited, modules that do not load, SQL that does not parse; exit code 8 when there are problems.',
    argument: { ...target, need: 'optional', description: `${targetWords}; latest when left out` },
    settings: [...database, 'strictOrder', 'wait', 'ci', ...logs, ...common],
    examples: [
      ['check', 'is it up to date?'],
      ['check 1.4.0 --wait 5m', 'wait until 1.4.0 is deployed'],
      ['check --ci', 'are the files in order? for a pull request'],
    ],
  },
  create: {
    summary: 'write a new alteration',
    description:
      'Writes next-<timestamp>-<name> from a template, with a timestamp later than every existing one.',
    argument: {
      name: 'name',
      need: 'required',
      description: 'a few words on what it does, joined by "-" or in quotes',
    },
    settings: [...folder, 'sql', 'sqlPair', ...common],
    examples: [
      ['create add-users', 'a TypeScript alteration'],
      ['create add-users --sql-pair', 'a .up.sql and a .down.sql'],
    ],
  },
  release: {
    summary: 'rename next alterations to a version',
    description: 'Renames every next- file to the version, with git where git tracks it.',
    argument: { name: 'version', need: 'required', description: 'the version that they ship with' },
    settings: [...folder, 'dryRun', 'allowLower', ...common],
    examples: [
      ['release 1.5.0 --dry-run', 'show the new names'],
      ['release 1.5.0', 'rename the files'],
    ],
  },
  baseline: {
    summary: 'record alterations as applied without running them',
    description:
      'For a database that already has the schema of a version: records everything up to the target as applied. Refuses when the history has rows.',
    argument: { ...target, need: 'required', description: targetWords },
    settings: [...database, 'dryRun', ...turn, ...logs, ...common],
    examples: [['baseline 1.2.0', 'the database has the schema of 1.2.0 already']],
  },
  completion: {
    summary: 'print a completion script for a shell',
    description: 'Prints a completion script for bash, zsh or fish.',
    argument: {
      name: 'shell',
      need: 'required',
      description: 'bash, zsh or fish',
      choices: ['bash', 'zsh', 'fish'],
    },
    settings: [],
    examples: [
      ['completion bash > ~/.alteration-completion.bash', 'for bash; source the file in ~/.bashrc'],
      ['completion zsh > ~/.zfunc/_alteration', 'for zsh, with ~/.zfunc in fpath'],
      ['completion fish > ~/.config/fish/completions/alteration.fish', 'for fish'],
    ],
  },
} as const satisfies Readonly<Record<string, CommandDefinition>>;

export type CommandName = keyof typeof commandDefinitions;
