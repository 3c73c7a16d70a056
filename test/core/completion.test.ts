import { execFile, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { commandDefinitions } from '../../src/cli/commands.ts';
import { renderCompletion } from '../../src/cli/completion.ts';
import { settingDefinitions } from '../../src/cli/settings.ts';
import { UsageError } from '../../src/core/errors.ts';
import { refusalOf } from './refusal-of.ts';

const run = promisify(execFile);
const commands = [...Object.keys(commandDefinitions), 'help'];
const deployOptions = [...commandDefinitions.deploy.settings.map(optionOf), '--help'];

/** The line up to the cursor, and the candidates for its last word. */
type Offer = readonly [line: string, candidates: readonly string[]];

// What every shell must offer.
const lines: readonly Offer[] = [
  ['alteration d', ['deploy']],
  ['alteration c', ['check', 'create', 'completion']],
  ['alteration deploy l', ['latest']],
  ['alteration deploy --l', ['--lock-wait', '--log-level', '--log-format']],
  ['alteration deploy --', deployOptions],
  ['alteration deploy latest --al', ['--allow-edited']],
  ['alteration create release --a', []],
  ['alteration list --p', ['--pending']],
  ['alteration help ro', ['rollback']],
  ['alteration completion z', ['zsh']],
  ['alteration deploy --log-level ', ['debug', 'info', 'warn', 'error', 'silent']],
  ['alteration deploy --log-format p', ['pretty']],
  ['alteration deploy --db-url ', []],
  ['alteration check --wait ', []],
  ['alteration deploy --env-file pro', ['prod.env']],
  ['alteration deploy --dir ', ['my alterations', 'other']],
];

describe('the completion for bash', () => {
  it('offers the commands first', async () => {
    expect(await completeInBash('alteration ')).toEqual([...commands, '--help', '--version'].sort());
  });

  it('offers targets and options after a command', async () => {
    expect(await completeInBash('alteration deploy ')).toEqual(['latest', 'next', ...deployOptions].sort());
  });

  it.each<Offer>([
    ...lines,
    ['alteration deploy --log-format=', ['pretty', 'json']],
    ['alteration deploy --log-format=j', ['json']],
    ['alteration deploy --dir=my', ['my alterations']],
  ])('offers after "%s" %j', async (line, candidates) => {
    expect(await completeInBash(line)).toEqual([...candidates].sort());
  });
});

describe('the completion for fish', () => {
  it('tells every command and option with its purpose', () => {
    const script = renderCompletion('fish');

    expect(script).toContain(
      "complete -c alteration -n '__alteration_command_is' -a deploy -d 'apply what is pending'",
    );
    expect(script).toContain("-l log-format -x -a 'pretty json' -d");
    expect(listMissing(script, (option) => `-l ${option.slice(2)} `)).toEqual([]);
  });

  it.runIf(isInstalled('fish')).each(lines)(
    'offers after "%s" %j, in a real fish',
    async (line, candidates) => {
      const { cwd, script } = await createPlace('fish');
      const { stdout } = await run(
        'fish',
        ['--no-config', '-c', 'source $argv[1]; complete -C $argv[2]', script, line],
        { cwd },
      );

      const offered = stdout
        .split('\n')
        .flatMap((candidate) => candidate.split('\t')[0]?.replace(/\/$/, '') || []);
      expect(offered.sort()).toEqual([...candidates].sort());
    },
  );
});

describe('the completion for zsh', () => {
  it('tells every command and option with its purpose', () => {
    const script = renderCompletion('zsh');

    expect(script.startsWith('#compdef alteration\n')).toBe(true);
    expect(script).toContain("'deploy:apply what is pending'");
    expect(script).toContain("'--dir=[the alterations folder]:value:_files -/'");
    expect(script).toContain(
      "'--log-format=[pretty or json; pretty on a terminal, json elsewhere]:value:(pretty json)'",
    );
    expect(listMissing(script, (option) => `'${option}`)).toEqual([]);
  });

  it.runIf(isInstalled('zsh'))('is a function that a real zsh loads', async () => {
    const { script } = await createPlace('zsh');

    const { stdout } = await run('zsh', [
      '-f',
      '-c',
      'autoload -Uz compinit && compinit -D && source $1 && print $_comps[alteration]',
      'zsh',
      script,
    ]);

    expect(stdout.trim()).toBe('_alteration');
  });
});

describe('the completion for another shell', () => {
  it.each([
    ['bsh', 'Did you mean bash?'],
    ['powershell', 'There is one for bash, zsh and fish.'],
    ['toString', 'There is one for bash, zsh and fish.'],
  ])('is refused: %s', async (shell, hint) => {
    expect(await refusalOf(UsageError, () => renderCompletion(shell))).toMatchObject({
      message: `There is no completion for "${shell}".`,
      hint,
    });
  });
});

/** The candidates for the last word of a line, as bash itself splits the line. */
async function completeInBash(line: string): Promise<readonly string[]> {
  const { cwd, script } = await createPlace('bash');
  const words = line.split(/ |(=)/).filter((word) => word !== undefined);
  const program = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _alteration; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run('bash', ['--norc', '-c', program, 'bash', script, ...words], { cwd });
  return stdout.split('\n').filter(Boolean).sort();
}

/** A folder with the script, and with files and folders that may be completed. */
async function createPlace(shell: string) {
  const root = await mkdtemp(join(tmpdir(), 'alteration-test-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  const cwd = join(root, 'here');
  await mkdir(join(cwd, 'my alterations'), { recursive: true });
  await mkdir(join(cwd, 'other'));
  await writeFile(join(cwd, 'prod.env'), '');
  const script = join(root, 'alteration.completion');
  await writeFile(script, renderCompletion(shell));
  return { cwd, script };
}

function isInstalled(shell: string): boolean {
  return spawnSync(shell, ['-c', 'exit 0']).status === 0;
}

function listMissing(script: string, spell: (option: string) => string): readonly string[] {
  const options = Object.values(commandDefinitions).flatMap(({ settings }) => settings.map(optionOf));
  return options.filter((option) => !script.includes(spell(option)));
}

function optionOf(setting: keyof typeof settingDefinitions): string {
  return settingDefinitions[setting].flag.split(' ')[0] ?? '';
}
