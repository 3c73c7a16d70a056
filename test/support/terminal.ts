import { spawn, spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import type { CliOptions } from './cli.ts';
import { renderScreen } from './screen.ts';
import { waitUntil } from './wait-until.ts';

/** The built binary in a terminal of 80 columns. */
export interface TerminalRun {
  readonly type: (keys: string) => void;
  /** All that was written to the terminal so far. */
  readonly output: () => string;
  /** What the terminal shows now. */
  readonly screen: () => string[];
  /** Waits until the screen shows the text. */
  readonly shows: (text: string | RegExp) => Promise<void>;
  readonly end: () => void;
  readonly exitCode: Promise<number | null>;
}

export const keys = { enter: '\r', down: '\u001b[B', interrupt: '\u0003' } as const;

/** Whether there is util-linux's `script`, which makes the terminals. */
export const hasTerminals = spawnSync('script', ['--version']).stdout?.includes('util-linux') ?? false;

/** Starts the binary in a terminal; `redirection` is the shell's, such as `> file`. */
export function startInTerminal(
  args: readonly string[],
  { env = {}, cwd }: CliOptions,
  redirection = '',
): TerminalRun {
  const program = [process.execPath, resolve('dist/bin.js'), ...args].map((word) => `'${word}'`).join(' ');
  const command = `stty cols 80 rows 24; exec ${program} ${redirection}`;
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      SHELL: '/bin/sh',
      TERM: 'xterm-256color',
      ...env,
    },
    stdio: ['pipe', 'pipe', 'ignore'],
    ...(cwd ? { cwd } : {}),
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  const screen = () => renderScreen(output);
  return {
    type: (text) => child.stdin.write(text),
    output: () => output,
    screen,
    shows: async (text) => {
      const isShown = () =>
        typeof text === 'string' ? screen().join('\n').includes(text) : text.test(screen().join('\n'));
      await waitUntil(`the screen shows ${text}, and not\n${output}`, async () => isShown());
    },
    end: () => child.kill('SIGKILL'),
    exitCode: new Promise((settle) => child.on('close', settle)),
  };
}
