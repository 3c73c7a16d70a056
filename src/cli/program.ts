import { Argument, Command, CommanderError, Option } from 'commander';
import { UsageError } from '../core/errors.ts';
import { runnerVersion } from '../operations/runner-version.ts';
import { type CommandDefinition, type CommandName, commandDefinitions } from './commands.ts';
import { hidePasswords } from './hide-passwords.ts';
import type { Invocation } from './invocation.ts';
import {
  flagOf,
  type SettingDefinition,
  type SettingName,
  settingDefinitions,
  variablesOf,
} from './settings.ts';
import { suggest } from './suggest.ts';

/** Reads the arguments. Throws a UsageError. */
export function parseArguments(argv: readonly string[], width: number): Invocation {
  if (argv.length === 0) throw new UsageError('No command was given.', { hint: renderHelp(width) });
  let printed = '';
  let parsed: Invocation | undefined;
  const program = createProgram(
    width,
    (text) => {
      printed += text;
    },
    (invocation) => {
      parsed = invocation;
    },
  );
  try {
    program.parse([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { kind: 'text', text: printed.trimEnd() };
    throw usageError(error, argv, width);
  }
  if (parsed) return parsed;
  throw new UsageError('No command was given.', { hint: renderHelp(width) });
}

/** The program's own help. */
export function renderHelp(width: number): string {
  return createProgram(
    width,
    () => undefined,
    () => undefined,
  )
    .helpInformation()
    .trimEnd();
}

function createProgram(
  width: number,
  print: (text: string) => void,
  onCommand: (invocation: Invocation) => void,
): Command {
  const program = new Command('alteration')
    .description("Brings a product's PostgreSQL database from any released version to another.")
    .version(runnerVersion, '--version', 'print the version')
    .helpOption('-h, --help', 'print help')
    .helpCommand('help [command]', 'print help of a command')
    .showSuggestionAfterError()
    .exitOverride()
    .configureOutput({
      writeOut: print,
      writeErr: () => undefined,
      getOutHelpWidth: () => Math.min(width, 100),
      getOutHasColors: () => false,
    })
    .addHelpText('after', '\nHelp of a command: alteration <command> --help');
  for (const [name, definition] of Object.entries(commandDefinitions)) {
    addCommand(program, name as CommandName, definition, onCommand); // the key of its own table
  }
  return program;
}

function addCommand(
  program: Command,
  name: CommandName,
  { summary, description, argument, settings, examples }: CommandDefinition,
  onCommand: (invocation: Invocation) => void,
): void {
  const command = program
    .command(name)
    .summary(summary)
    .description(description)
    .helpOption('-h, --help', 'print help');
  if (argument) {
    const shape = argument.need === 'required' ? `<${argument.name}>` : `[${argument.name}]`;
    command.addArgument(new Argument(shape, argument.description));
  }
  for (const setting of settings) command.addOption(createOption(setting));
  command.addHelpText('after', renderExamples(examples));
  command.action((...parameters: unknown[]) => {
    const [first] = parameters;
    const given = new Map(
      settings
        .filter((setting) => command.getOptionValueSource(setting) === 'cli')
        .map(
          (setting) =>
            [setting, { value: command.getOptionValue(setting), source: flagOf(setting) }] as const,
        ),
    );
    onCommand({
      kind: 'command',
      name,
      argument: argument && typeof first === 'string' ? first : undefined,
      given,
    });
  });
}

function createOption(setting: SettingName): Option {
  const { flag, description, shownDefault }: SettingDefinition = settingDefinitions[setting];
  const variables = `${variablesOf(setting).join(', ')}${flag.startsWith('--no-') ? '=false' : ''}`;
  const defaultNote = shownDefault ? `; default ${shownDefault}` : '';
  return new Option(flag, `${description} (${variables}${defaultNote})`);
}

function renderExamples(examples: CommandDefinition['examples']): string {
  const lines = examples.map(([command, purpose]) => `  # ${purpose}\n  alteration ${command}`);
  return `\nExamples:\n${lines.join('\n')}`;
}

/** commander's words made a sentence, with what was meant or the help to look at. */
function usageError(error: CommanderError, argv: readonly string[], width: number): UsageError {
  const [first = '', ...rest] = hidePasswords(error.message)
    .replace(/^error: /, '')
    .replace(/'(.*)'/, '"$1"')
    .split('\n');
  const suggestion = rest.join(' ').replace(/^\((.*)\)$/, '$1');
  switch (error.code) {
    case 'commander.help':
      return unknownHelp(argv, width);
    case 'commander.missingArgument':
      return new UsageError(describeMissingArgument(argv) ?? toSentence(first), { hint: helpHint(argv) });
    case 'commander.optionMissingArgument':
      return new UsageError(toSentence(first.replace(' argument missing', ' needs its value')), {
        hint: helpHint(argv),
      });
    case 'commander.excessArguments':
      return new UsageError(toSentence(first.replace(/: .*$/, '')), { hint: helpHint(argv) });
    case 'commander.unknownOption':
      return new UsageError(toSentence(first), { hint: suggestion || describeMisplaced(argv) });
    default:
      return new UsageError(toSentence(first), { hint: suggestion || helpHint(argv) });
  }
}

/** commander answers `help <no command>` with the help alone. */
function unknownHelp([help, name]: readonly string[], width: number): UsageError {
  if (help !== 'help' || name === undefined)
    return new UsageError('No command was given.', { hint: renderHelp(width) });
  const near = suggest(name, Object.keys(commandDefinitions));
  return new UsageError(`Unknown command "${hidePasswords(name)}".`, {
    hint: near ? `Did you mean ${near}?` : helpHint([]),
  });
}

function describeMissingArgument(argv: readonly string[]): string | undefined {
  const name = findCommand(argv);
  if (!name) return undefined;
  const { argument }: CommandDefinition = commandDefinitions[name];
  return argument && `"${name}" needs a ${argument.name}: ${argument.description}.`;
}

function describeMisplaced(argv: readonly string[]): string {
  const [option = ''] = argv[0]?.split('=') ?? [];
  const misplaced = Object.values(settingDefinitions).some(({ flag }) => flag.split(' ')[0] === option);
  const hint = hidePasswords(`Options stand behind the command: alteration <command> ${argv[0]}.`);
  return misplaced ? hint : helpHint(argv);
}

function helpHint(argv: readonly string[]): string {
  return ['See alteration', findCommand(argv), '--help.'].filter(Boolean).join(' ');
}

function findCommand(argv: readonly string[]): CommandName | undefined {
  const names = Object.keys(commandDefinitions) as CommandName[]; // the keys of its own table
  return names.find((name) => name === argv[0]);
}

function toSentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?!]$/.test(text) ? '' : '.'}`;
}
