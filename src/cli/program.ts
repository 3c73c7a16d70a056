import { Argument, Command, CommanderError, Option } from 'commander';
import { UsageError } from '../core/errors.ts';
import { runnerVersion } from '../operations/runner-version.ts';
import { type CommandDefinition, type CommandName, commandDefinitions } from './commands.ts';
import { type GivenValue, type SettingDefinition, settingDefinitions, variablesOf } from './settings.ts';

/** What the arguments ask for: a command, or a text to print. */
export type Invocation =
  | {
      readonly kind: 'command';
      readonly name: CommandName;
      readonly argument: string | undefined;
      readonly given: ReadonlyMap<string, GivenValue>;
    }
  | { readonly kind: 'text'; readonly text: string };

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
    throw usageError(error);
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

function createOption(setting: keyof typeof settingDefinitions): Option {
  const { flag, description, shownDefault }: SettingDefinition = settingDefinitions[setting];
  const [variable = ''] = variablesOf(setting);
  const defaultNote = shownDefault ? `; default ${shownDefault}` : '';
  return new Option(flag, `${description} (${variable}${defaultNote})`);
}

function flagOf(setting: keyof typeof settingDefinitions): string {
  return settingDefinitions[setting].flag.split(' ')[0] ?? setting;
}

function renderExamples(examples: CommandDefinition['examples']): string {
  const lines = examples.map(([command, purpose]) => `  # ${purpose}\n  alteration ${command}`);
  return `\nExamples:\n${lines.join('\n')}`;
}

function usageError(error: CommanderError): UsageError {
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const suggestion = rest.join(' ').replace(/^\((.*)\)$/, '$1');
  const message =
    `${first.charAt(0).toUpperCase()}${first.slice(1)}${/[.?!]$/.test(first) ? '' : '.'}`.replaceAll(
      "'",
      '"',
    );
  return new UsageError(message, { hint: suggestion || 'See alteration --help.' });
}
