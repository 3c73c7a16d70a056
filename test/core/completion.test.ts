import { execFile, spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
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
  [
    'alteration deploy --l',
    ['--lock-wait', '--lock-timeout', '--lock-deadline', '--log-level', '--log-format'],
  ],
  ['alteration deploy --', deployOptions],
  ['alteration deploy latest --al', ['--allow-edited']],
  ['alteration create release --a', []],
  ['alteration list --pe', ['--pending']],
  ['alteration help ro', ['rollback']],
  ['alteration completion z', ['zsh']],
  ['alteration deploy --log-level ', ['debug', 'info', 'warn', 'error', 'silent']],
  ['alteration deploy --log-format p', ['pretty']],
  ['alteration check --output git', ['github', 'gitlab']],
  ['alteration deploy --db-url ', []],
  ['alteration check --wait ', []],
  ['alteration deploy --env-file pro', ['prod.env']],
  ['alteration deploy --dir ', ['my alterations', 'other']],
];

describe('the completion for bash', async () => {
  const offers: readonly Offer[] = [
    ...lines,
    ['alteration ', [...commands, '--help', '--version']],
    ['alteration deploy ', ['latest', 'next', ...deployOptions]],
    ['alteration deploy --log-format=', ['pretty', 'json']],
    ['alteration deploy --log-format=j', ['json']],
    ['alteration deploy --dir=my', ['my alterations']],
  ];
  const offered = await completeInBash(offers.map(([line]) => line));

  it.each(offers)('offers after "%s" %j', (line, candidates) => {
    expect(offered.get(line)).toEqual([...candidates].sort());
  });
});

describe('the completion for fish', async () => {
  it('tells every command and option with its purpose', () => {
    const script = renderCompletion('fish');

    expect(script).toContain(
      "complete -c alteration -n '__alteration_command_is' -a deploy -d 'apply what is pending'",
    );
    expect(script).toContain("-l log-format -x -a 'pretty json' -d");
    expect(listMissing(script, (option) => `-l ${option.slice(2)} `)).toEqual([]);
  });

  // fish keeps options back until a dash is typed.
  const offers: readonly Offer[] = [
    ...lines,
    ['alteration ', commands],
    ['alteration deploy ', ['latest', 'next']],
  ];
  const offered = isInstalled('fish') ? await completeInFish(offers.map(([line]) => line)) : undefined;

  it.runIf(offered).each(offers)('offers after "%s" %j, in a real fish', (line, candidates) => {
    expect(offered?.get(line)).toEqual([...candidates].sort());
  });
});

describe('the completion for zsh', () => {
  it('tells every command and option with its purpose', () => {
    const script = renderCompletion('zsh');

    expect(script.startsWith('#compdef alteration\n')).toBe(true);
    expect(script).toContain("'deploy:apply what is pending'");
    expect(script).toContain("'--dir=[the alterations folder]:value:_files -/'");
    expect(script).toContain(
      "'--log-format=[pretty or json; pretty on a terminal and in the log of GitHub or GitLab, json elsewhere]:value:(pretty json)'",
    );
    expect(listMissing(script, (option) => `'${option}`)).toEqual([]);
  });

  it.runIf(isInstalled('zsh'))('is a function that a real zsh loads', async () => {
    const program = 'autoload -Uz compinit && compinit -u -D && source $1 && print $_comps[alteration]';

    const { stdout } = await inPlace('zsh', (cwd, script) =>
      run('zsh', ['-f', '-c', program, 'zsh', script], { cwd }),
    );

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

type Offered = ReadonlyMap<string, readonly string[]>;

/** The candidates for the last word of each line, split into words as bash itself splits it. */
function completeInBash(asked: readonly string[]): Promise<Offered> {
  const complete = (line: string) => {
    const words = line.split(/ |(=)/).filter((word) => word !== undefined);
    return `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})
COMP_CWORD=${words.length - 1}
_alteration
printf '%s\n' "\${COMPREPLY[@]}"`;
  };
  return completeAll('bash', ['--norc'], asked, complete);
}

function completeInFish(asked: readonly string[]): Promise<Offered> {
  return completeAll('fish', ['--no-config'], asked, (line) => `complete -C '${line}'`);
}

/** Runs one shell for all lines, beside a file and two folders that may be completed. */
async function completeAll(
  shell: string,
  options: readonly string[],
  asked: readonly string[],
  complete: (line: string) => string,
): Promise<Offered> {
  return inPlace(shell, async (cwd, script) => {
    const program = [`source '${script}'`, ...asked.map((line) => `${complete(line)}\necho ====`)].join('\n');
    const { stdout } = await run(shell, [...options, '-c', program], { cwd });
    const answers = stdout.split('====\n').map((answer) => answer.split('\n').filter(Boolean));
    const wordOf = (candidate: string) => candidate.split('\t')[0]?.replace(/\/$/, '') ?? '';
    return new Map(asked.map((line, index) => [line, (answers[index] ?? []).map(wordOf).sort()]));
  });
}

async function inPlace<T>(shell: string, work: (cwd: string, script: string) => Promise<T>): Promise<T> {
  const root = await mkdtemp(join(tmpdir(), 'alteration-test-'));
  try {
    const cwd = join(root, 'here');
    await mkdir(join(cwd, 'my alterations'), { recursive: true });
    await mkdir(join(cwd, 'other'));
    await writeFile(join(cwd, 'prod.env'), '');
    const script = join(root, 'alteration.completion');
    await writeFile(script, renderCompletion(shell));
    return await work(cwd, script);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
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
