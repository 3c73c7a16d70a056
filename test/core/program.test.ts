import { describe, expect, it } from 'vitest';
import { type CommandDefinition, commandDefinitions } from '../../src/cli/commands.ts';
import { parseArguments, renderHelp } from '../../src/cli/program.ts';
import { type SettingName, settingDefinitions, variablesOf } from '../../src/cli/settings.ts';
import { UsageError } from '../../src/core/errors.ts';
import { runnerVersion } from '../../src/operations/runner-version.ts';
import { refusalOf } from './refusal-of.ts';

const commands: readonly (readonly [string, CommandDefinition])[] = Object.entries(commandDefinitions);

describe('the arguments', () => {
  it.each([
    ['deploy', 'deploy', undefined, {}],
    ['deploy latest', 'deploy', 'latest', {}],
    ['deploy 1.4.0 --dry-run', 'deploy', '1.4.0', { dryRun: true }],
    ['deploy --dry-run 1.4.0', 'deploy', '1.4.0', { dryRun: true }],
    ['deploy --lock-wait 5s latest', 'deploy', 'latest', { lockWait: '5s' }],
    ['deploy --lock-wait=5s latest', 'deploy', 'latest', { lockWait: '5s' }],
    ['deploy --lock-wait 1s --lock-wait 2s', 'deploy', undefined, { lockWait: '2s' }],
    ['deploy -- latest', 'deploy', 'latest', {}],
    ['rollback 1.3.0 --yes', 'rollback', '1.3.0', { yes: true }],
    ['list --pending --json', 'list', undefined, { pending: true, json: true }],
    ['status --no-color', 'status', undefined, { color: false }],
    ['check --wait 5m', 'check', undefined, { wait: '5m' }],
    ['check 1.4.0', 'check', '1.4.0', {}],
    ['create add-users --sql-pair', 'create', 'add-users', { sqlPair: true }],
    ['release 1.5.0 --allow-lower', 'release', '1.5.0', { allowLower: true }],
    ['baseline 1.2.0', 'baseline', '1.2.0', {}],
    ['completion zsh', 'completion', 'zsh', {}],
  ])('%s', (line, name, argument, settings) => {
    const invocation = parse(line.split(' '));

    expect(invocation).toMatchObject({ kind: 'command', name, argument });
    expect(valuesOf(invocation)).toEqual(settings);
  });

  it.each(commands)('%s takes all of its options, and names each as the source', (name, definition) => {
    const words = definition.settings.flatMap(exampleOf);

    const invocation = parse([name, ...(definition.argument ? ['1.0.0'] : []), ...words]);

    const given = invocation.kind === 'command' ? [...invocation.given] : [];
    expect(given.map(([setting]) => setting)).toEqual(definition.settings);
    expect(given.map(([, { source }]) => source)).toEqual(words.filter((word) => word.startsWith('--')));
  });

  it('hold words with blanks as they are', () => {
    expect(parse(['create', 'add users'])).toMatchObject({ argument: 'add users' });
  });

  it('ask for the version with --version', () => {
    expect(parse(['--version'])).toEqual({ kind: 'text', text: runnerVersion });
  });

  it.each([['--help'], ['-h'], ['help']])('%s asks for the help', (...argv) => {
    expect(parse(argv)).toEqual({ kind: 'text', text: renderFullHelp() });
  });

  it.each(commands)('%s --help, -h and help of it are the same', (name) => {
    const help = helpOf(name);

    expect(parse([name, '-h'])).toEqual({ kind: 'text', text: help });
    expect(parse(['help', name])).toEqual({ kind: 'text', text: help });
  });
});

describe('arguments that make no sense', () => {
  it.each<[string, string, string]>([
    ['deplyo', 'Unknown command "deplyo".', 'Did you mean deploy?'],
    ['roll-back 1.0.0', 'Unknown command "roll-back".', 'Did you mean rollback?'],
    ['migrate', 'Unknown command "migrate".', 'See alteration --help.'],
    ["it's", 'Unknown command "it\'s".', 'See alteration --help.'],
    ['toString', 'Unknown command "toString".', 'See alteration --help.'],
    ['help deplyo', 'Unknown command "deplyo".', 'Did you mean deploy?'],
    ['help migrate', 'Unknown command "migrate".', 'See alteration --help.'],
    ['deploy --dry-rnu', 'Unknown option "--dry-rnu".', 'Did you mean --dry-run?'],
    ['list --yes', 'Unknown option "--yes".', 'See alteration list --help.'],
    ['status -x', 'Unknown option "-x".', 'See alteration status --help.'],
    ['--foo', 'Unknown option "--foo".', 'See alteration --help.'],
    [
      '--json deploy',
      'Unknown option "--json".',
      'Options stand behind the command: alteration <command> --json.',
    ],
    [
      '--dir=db deploy',
      'Unknown option "--dir=db".',
      'Options stand behind the command: alteration <command> --dir=db.',
    ],
    [
      'deploy --lock-wait',
      'Option "--lock-wait <duration>" needs its value.',
      'See alteration deploy --help.',
    ],
    [
      'rollback',
      '"rollback" needs a target: the version to go back to; 0.0.0 takes back everything.',
      'See alteration rollback --help.',
    ],
    [
      'create --sql',
      '"create" needs a name: a few words on what it does, joined by "-" or in quotes.',
      'See alteration create --help.',
    ],
    [
      'release',
      '"release" needs a version: the version that they ship with.',
      'See alteration release --help.',
    ],
    ['completion', '"completion" needs a shell: bash, zsh or fish.', 'See alteration completion --help.'],
    [
      'rollback 1.0.0 1.1.0',
      'Too many arguments for "rollback". Expected 1 argument but got 2.',
      'See alteration rollback --help.',
    ],
    [
      'status latest',
      'Too many arguments for "status". Expected 0 arguments but got 1.',
      'See alteration status --help.',
    ],
    [
      'postgres://app:s3cret@db:5432/app',
      'Unknown command "postgres://app:***@db:5432/app".',
      'See alteration --help.',
    ],
    [
      'help postgres://app:s3cret@db:5432/app',
      'Unknown command "postgres://app:***@db:5432/app".',
      'See alteration --help.',
    ],
    [
      '--db-url=postgres://app:s3cret@db:5432/app deploy',
      'Unknown option "--db-url=postgres://app:***@db:5432/app".',
      'Options stand behind the command: alteration <command> --db-url=postgres://app:***@db:5432/app.',
    ],
  ])('%s', async (line, message, hint) => {
    expect(await refusalOf(UsageError, () => parse(line.split(' ')))).toMatchObject({ message, hint });
  });

  it.each([[[]], [['--']]])('%j is answered with the help', async (argv) => {
    expect(await refusalOf(UsageError, () => parse(argv))).toMatchObject({
      message: 'No command was given.',
      hint: renderHelp(80),
    });
  });
});

describe('the help', () => {
  it('tells the commands', () => {
    expect(renderFullHelp()).toMatchInlineSnapshot(`
      "Usage: alteration [options] [command]

      Brings a product's PostgreSQL database from any released version to another.

      Options:
        --version                    print the version
        -h, --help                   print help

      Commands:
        deploy [options] [target]    apply what is pending
        rollback [options] <target>  take back what is newer than a version
        list [options]               show every alteration with its state
        status [options]             show the database at a glance
        check [options] [target]     tell by exit code whether the database is up to
                                     date, or the folder sound
        create [options] <name>      write a new alteration
        release [options] <version>  rename next alterations to a version
        baseline [options] <target>  record alterations as applied without running
                                     them
        completion <shell>           print a completion script for a shell
        help [command]               print help of a command

      Help of a command: alteration <command> --help"
    `);
  });

  it('of a command tells its argument, options, variables, defaults and examples', () => {
    expect(helpOf('create')).toMatchInlineSnapshot(`
      "Usage: alteration create [options] <name>

      Writes next-<timestamp>-<name> from a template, with a timestamp later than
      every existing one.

      Arguments:
        name               a few words on what it does, joined by "-" or in quotes

      Options:
        --dir <folder>     the alterations folder (ALTERATION_DIR; default
                           alterations)
        --sql              write a .sql file (ALTERATION_SQL)
        --sql-pair         write a .up.sql and a .down.sql file (ALTERATION_SQL_PAIR)
        --config <file>    config file (ALTERATION_CONFIG; default
                           alteration.config.ts, .js or .json, if there is one)
        --env-file <file>  file of environment variables (ALTERATION_ENV_FILE; default
                           .env, if there is one)
        --output <kind>    for whom the log is: github, gitlab, plain, or auto (what
                           the environment tells) (ALTERATION_OUTPUT; default auto)
        --json             print one JSON document on stdout (ALTERATION_JSON)
        --no-color         no colours; NO_COLOR and FORCE_COLOR are heeded too
                           (ALTERATION_COLOR=false)
        -h, --help         print help

      Examples:
        # a TypeScript alteration
        alteration create add-users
        # a .up.sql and a .down.sql
        alteration create add-users --sql-pair"
    `);
  });

  it.each<readonly [string, string]>([
    ['the program', renderFullHelp()],
    ...commands.map(([name]): [string, string] => [name, helpOf(name)]),
  ])('of %s fits in 80 columns', (_, help) => {
    expect(help.split('\n').filter((line) => line.length > 80)).toEqual([]);
  });

  it.each(commands)('of %s has every option with its variables, and its examples', (name, definition) => {
    const help = helpOf(name);

    const told = unwrap(help);
    expect(definition.settings.flatMap(variablesOf).filter((variable) => !told.includes(variable))).toEqual(
      [],
    );
    expect(definition.examples.length).toBeGreaterThan(0);
    expect(help.split('Examples:\n')[1]).toBe(
      definition.examples.map(([line, purpose]) => `  # ${purpose}\n  alteration ${line}`).join('\n'),
    );
  });

  it.each(commands.flatMap(([name, { examples }]) => examples.map(([line]) => [line, name] as const)))(
    'has an example that is right: %s',
    (line, name) => {
      const argv = line.replace(/ >.*/, '').split(' ');

      expect(parse(argv)).toMatchObject({ kind: 'command', name });
    },
  );

  it('is as wide as the terminal, and never wider than 100 columns', () => {
    const widest = (width: number) =>
      Math.max(
        ...helpOf('deploy', width)
          .split('\n')
          .map((line) => line.length),
      );

    expect(widest(120)).toBeGreaterThan(80);
    expect(widest(120)).toBeLessThanOrEqual(100);
    expect(widest(300)).toBeLessThanOrEqual(100);
    expect(helpOf('deploy', 50)).not.toBe(helpOf('deploy', 80));
  });
});

function parse(argv: readonly string[], width = 80) {
  return parseArguments(argv, width);
}

function valuesOf(invocation: ReturnType<typeof parse>): Readonly<Record<string, unknown>> {
  if (invocation.kind === 'text') return {};
  return Object.fromEntries([...invocation.given].map(([name, { value }]) => [name, value]));
}

function helpOf(command: string, width = 80): string {
  const invocation = parse([command, '--help'], width);
  return invocation.kind === 'text' ? invocation.text : '';
}

function renderFullHelp(): string {
  const invocation = parse(['--help']);
  return invocation.kind === 'text' ? invocation.text : '';
}

/** `--lock-wait` and a value, or `--dry-run` alone. */
function exampleOf(setting: SettingName): readonly string[] {
  const [option = '', value] = settingDefinitions[setting].flag.split(' ');
  return value === undefined ? [option] : [option, 'value'];
}

function unwrap(help: string): string {
  return help.replace(/\s+/g, ' ');
}
