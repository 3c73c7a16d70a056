import { UsageError } from '../core/errors.ts';
import { type CommandDefinition, commandDefinitions } from './commands.ts';
import { type SettingDefinition, settingDefinitions, suggest } from './settings.ts';

interface Word {
  readonly word: string;
  readonly purpose: string;
}

interface Completable extends Word {
  readonly options: readonly (Word & { readonly takesValue: boolean })[];
  readonly choices: readonly string[];
}

const renderers = { bash: renderBash, zsh: renderZsh, fish: renderFish } as const;

/** A completion script for a shell, made from the table of commands. Throws a UsageError for another shell. */
export function renderCompletion(shell: string): string {
  if (shell in renderers) return renderers[shell as keyof typeof renderers](listCommands()); // `in` has just shown it
  const near = suggest(shell, Object.keys(renderers));
  throw new UsageError(`There is no completion for "${shell}".`, {
    hint: near ? `Did you mean ${near}?` : 'There is one for bash, zsh and fish.',
  });
}

function listCommands(): readonly Completable[] {
  return Object.entries(commandDefinitions).map(([word, definition]: [string, CommandDefinition]) => ({
    word,
    purpose: definition.summary,
    choices: definition.argument?.choices ?? [],
    options: definition.settings.map((name) => {
      const { flag, description }: SettingDefinition = settingDefinitions[name];
      const [option = '', value] = flag.split(' ');
      return { word: option, purpose: description, takesValue: value !== undefined };
    }),
  }));
}

function renderBash(commands: readonly Completable[]): string {
  const cases = commands
    .map(({ word, options, choices }) => {
      const words = [...choices, ...options.map((option) => option.word), '--help'];
      return `    ${word}) words="${words.join(' ')}" ;;`;
    })
    .join('\n');
  return `# bash completion for alteration
_alteration() {
  local current="\${COMP_WORDS[COMP_CWORD]}" words=""
  case "\${COMP_WORDS[COMP_CWORD-1]}" in
    --dir) COMPREPLY=($(compgen -d -- "$current")); return ;;
    --env-file|--config) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${commands.map(({ word }) => word).join(' ')} --help --version"
  else
    case "\${COMP_WORDS[1]}" in
${cases}
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _alteration alteration
`;
}

function renderZsh(commands: readonly Completable[]): string {
  const names = commands.map(({ word, purpose }) => `    '${word}:${escapeZsh(purpose)}'`).join('\n');
  const cases = commands
    .map(({ word, options, choices }) => {
      const specs = options.map((option) => {
        const value = option.takesValue ? `:value:${option.word === '--dir' ? '_files -/' : '_files'}` : '';
        return `'${option.word}[${escapeZsh(option.purpose)}]${value}'`;
      });
      const argument = choices.length > 0 ? [`'1:argument:(${choices.join(' ')})'`] : [];
      return `    ${word}) _arguments ${[...specs, ...argument, "'--help[print help]'"].join(' ')} ;;`;
    })
    .join('\n');
  return `#compdef alteration
_alteration() {
  local -a commands
  commands=(
${names}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
${cases}
  esac
}
if [ "$funcstack[1]" = "_alteration" ]; then
  _alteration "$@"
else
  compdef _alteration alteration
fi
`;
}

function renderFish(commands: readonly Completable[]): string {
  const lines = commands.flatMap(({ word, purpose, options, choices }) => [
    `complete -c alteration -n __fish_use_subcommand -f -a ${word} -d '${escapeFish(purpose)}'`,
    ...(choices.length > 0
      ? [`complete -c alteration -n '__fish_seen_subcommand_from ${word}' -f -a '${choices.join(' ')}'`]
      : []),
    ...options.map(
      (option) =>
        `complete -c alteration -n '__fish_seen_subcommand_from ${word}' -l ${option.word.slice(2)}${option.takesValue ? ' -r' : ''} -d '${escapeFish(option.purpose)}'`,
    ),
  ]);
  return `# fish completion for alteration\n${lines.join('\n')}\n`;
}

function escapeZsh(text: string): string {
  return text.replace(/[[\]:\\]/g, '\\$&').replaceAll("'", "'\\''");
}

function escapeFish(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
}
