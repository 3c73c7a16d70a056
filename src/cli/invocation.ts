import { type CommandDefinition, type CommandName, commandDefinitions } from './commands.ts';
import { flagOf, type GivenValue, type SettingName, settingDefinitions } from './settings.ts';

/** What the arguments ask for: a command, or a text to print. */
export type Invocation = CommandInvocation | { readonly kind: 'text'; readonly text: string };

export interface CommandInvocation {
  readonly kind: 'command';
  readonly name: CommandName;
  readonly argument: string | undefined;
  readonly given: ReadonlyMap<string, GivenValue>;
}

/**
 * Reads the arguments, where they are plainly a command with options of its own. Undefined for all else: help, mistakes
 * and rarer spellings are the program's, which takes longer to load than most commands take to run.
 */
export function readPlainArguments([name = '', ...words]: readonly string[]): CommandInvocation | undefined {
  if (!isCommand(name)) return undefined;
  const { argument, settings }: CommandDefinition = commandDefinitions[name];
  const read = readWords(words, new Map(settings.map((setting) => [flagOf(setting), setting])));
  if (!read || read.operands.length > (argument ? 1 : 0)) return undefined;
  const [operand] = read.operands;
  if (argument?.need === 'required' && operand === undefined) return undefined;
  const given = settings.flatMap((setting) =>
    read.values.has(setting)
      ? [[setting, { value: read.values.get(setting), source: flagOf(setting) }] as const]
      : [],
  );
  return { kind: 'command', name, argument: operand, given: new Map(given) };
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(commandDefinitions, name);
}

interface Words {
  readonly operands: readonly string[];
  readonly values: ReadonlyMap<SettingName, string | boolean>;
}

function readWords(words: readonly string[], flags: ReadonlyMap<string, SettingName>): Words | undefined {
  const operands: string[] = [];
  const values = new Map<SettingName, string | boolean>();
  const rest = words.values();
  for (const word of rest) {
    if (!word.startsWith('-')) {
      operands.push(word);
      continue;
    }
    const [flag, inline] = splitOnce(word);
    const setting = flags.get(flag);
    const value = setting && readValue(setting, inline, rest);
    if (!setting || value === undefined) return undefined;
    values.set(setting, value);
  }
  return { operands, values };
}

/** `--dir=db` in its two parts. */
function splitOnce(word: string): readonly [flag: string, inline: string | undefined] {
  const at = word.indexOf('=');
  return at === -1 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

/** What is given for a setting; undefined where it is not plain. */
function readValue(
  setting: SettingName,
  inline: string | undefined,
  rest: Iterator<string, unknown>,
): string | boolean | undefined {
  const { flag } = settingDefinitions[setting];
  if (!flag.includes(' ')) return inline === undefined ? !flag.startsWith('--no-') : undefined;
  if (inline !== undefined) return inline;
  const { value, done } = rest.next();
  return done || typeof value !== 'string' || value.startsWith('-') ? undefined : value;
}
