import { UsageError } from '../core/errors.ts';
import { type CommandDefinition, commandDefinitions } from './commands.ts';
import { type SettingDefinition, type SettingName, settingDefinitions } from './settings.ts';
import { suggest } from './suggest.ts';

interface Word {
  readonly word: string;
  readonly purpose: string;
}

/** What stands after an option: nothing, any text, the name of a file or a folder, or one of some words. */
type Value = 'none' | 'text' | 'file' | 'folder' | readonly string[];

interface Option extends Word {
  readonly value: Value;
}

interface Completable extends Word {
  readonly options: readonly Option[];
  readonly choices: readonly string[];
}

const values: Partial<Readonly<Record<SettingName, Value>>> = {
  dir: 'folder',
  envFile: 'file',
  config: 'file',
  output: settingDefinitions.output.choices,
  logLevel: settingDefinitions.logLevel.choices,
  logFormat: settingDefinitions.logFormat.choices,
};
const help: Option = { word: '--help', purpose: 'print help', value: 'none' };
const version: Option = { word: '--version', purpose: 'print the version', value: 'none' };

const renderers = { bash: renderBash, zsh: renderZsh, fish: renderFish } as const;

/** A completion script for a shell, made from the table of commands. Throws a UsageError for another shell. */
export function renderCompletion(shell: string): string {
  if (Object.hasOwn(renderers, shell)) return renderers[shell as keyof typeof renderers](listCommands()); // just seen
  const near = suggest(shell, Object.keys(renderers));
  throw new UsageError(`There is no completion for "${shell}".`, {
    hint: near ? `Did you mean ${near}?` : 'There is one for bash, zsh and fish.',
  });
}

function listCommands(): readonly Completable[] {
  const commands = Object.entries(commandDefinitions).map(
    ([word, { summary, argument, settings }]: [string, CommandDefinition]) => ({
      word,
      purpose: summary,
      choices: argument?.choices ?? [],
      options: [...settings.map(describeOption), help],
    }),
  );
  const choices = commands.map(({ word }) => word);
  return [...commands, { word: 'help', purpose: 'print help of a command', choices, options: [] }];
}

function describeOption(name: SettingName): Option {
  const { flag, description }: SettingDefinition = settingDefinitions[name];
  const [word = '', value] = flag.split(' ');
  return { word, purpose: description, value: value === undefined ? 'none' : (values[name] ?? 'text') };
}

/** Speaks to bash 3.2 too, which macOS has: there is no mapfile, and compopt may be missing. */
function renderBash(commands: readonly Completable[]): string {
  const options = new Map(commands.flatMap((command) => command.options).map((one) => [one.word, one]));
  const afterOption = [...options.values()].filter(({ value }) => value !== 'none').map(renderBashValue);
  const afterCommand = commands.map(
    (command) =>
      `    ${command.word}) words="${[...command.choices, ...command.options.map(({ word }) => word)].join(' ')}" ;;`,
  );
  return `# bash completion for alteration
_alteration() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" words=""
  if [ "$current" = "=" ]; then
    current=""
  elif [ "$previous" = "=" ]; then
    previous="\${COMP_WORDS[COMP_CWORD-2]}"
  fi
  case "$previous" in
${afterOption.join('\n')}
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${[...commands, help, version].map(({ word }) => word).join(' ')}"
  else
    case "\${COMP_WORDS[1]}" in
${afterCommand.join('\n')}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
_alteration_names() {
  local IFS=$'\\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen "$1" -- "$2"))
}
complete -F _alteration alteration
`;
}

function renderBashValue({ word, value }: Option): string {
  if (value === 'file') return `    ${word}) _alteration_names -f "$current"; return ;;`;
  if (value === 'folder') return `    ${word}) _alteration_names -d "$current"; return ;;`;
  const words = typeof value === 'string' ? '' : value.join(' ');
  return `    ${word}) COMPREPLY=($(compgen -W "${words}" -- "$current")); return ;;`;
}

function renderZsh(commands: readonly Completable[]): string {
  const names = commands.map(({ word, purpose }) => `    '${word}:${escapeZsh(purpose)}'`).join('\n');
  const cases = commands.map(({ word, options, choices }) => {
    const specs = [
      ...options.map(renderZshOption),
      ...(choices.length > 0 ? [`'1:argument:(${choices.join(' ')})'`] : []),
    ];
    return `    ${word})\n      _arguments \\\n        ${specs.join(' \\\n        ')} ;;`;
  });
  return `#compdef alteration
_alteration() {
  local -a commands
  commands=(
${names}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    _arguments '--help[print help]' '--version[print the version]'
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = "_alteration" ]; then
  _alteration "$@"
else
  compdef _alteration alteration
fi
`;
}

function renderZshOption({ word, purpose, value }: Option): string {
  const explained = `[${escapeZsh(purpose)}]`;
  if (value === 'none') return `'${word}${explained}'`;
  const actions = { text: ' ', file: '_files', folder: '_files -/' };
  const action = typeof value === 'string' ? actions[value] : `(${value.join(' ')})`;
  return `'${word}=${explained}:value:${action}'`;
}

function renderFish(commands: readonly Completable[]): string {
  const lines = commands.flatMap(({ word, purpose, options, choices }) => [
    `complete -c alteration -n '__alteration_command_is' -a ${word} -d '${escapeFish(purpose)}'`,
    ...(choices.length > 0
      ? [`complete -c alteration -n '__alteration_command_is ${word}' -a '${choices.join(' ')}'`]
      : []),
    ...options.map(
      (option) => `complete -c alteration -n '__alteration_command_is ${word}' ${renderFishOption(option)}`,
    ),
  ]);
  const general = [help, version].map(
    (option) => `complete -c alteration -n '__alteration_command_is' ${renderFishOption(option)}`,
  );
  return `# fish completion for alteration
function __alteration_command_is
  set -l words (commandline -opc)
  test "$words[2]" = "$argv[1]"
end
complete -c alteration -f
${[...general, ...lines].join('\n')}
`;
}

function renderFishOption({ word, purpose, value }: Option): string {
  const shapes = { none: '', text: ' -x', file: ' -r -F', folder: " -x -a '(__fish_complete_directories)'" };
  const shape = typeof value === 'string' ? shapes[value] : ` -x -a '${value.join(' ')}'`;
  return `-l ${word.slice(2)}${shape} -d '${escapeFish(purpose)}'`;
}

function escapeZsh(text: string): string {
  return text.replace(/[[\]:\\]/g, '\\$&').replaceAll("'", "'\\''");
}

function escapeFish(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
}
