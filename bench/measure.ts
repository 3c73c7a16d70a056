// One process, from its start to its end: how long it took and how much memory it had.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { CommandLine } from './contestants/contestant.ts';
import { findProgram } from './find-program.ts';
import type { Session } from './results.ts';

const limitMs = 600_000;
const outputLimit = 50_000;

export interface ProcessRun {
  readonly ms: number;
  /** Most memory that it had at a time, in KiB; undefined where nobody tells. */
  readonly peakKb: number | undefined;
  /** Undefined when it was ended by a signal. */
  readonly exitCode: number | undefined;
  /** The end of what it wrote, stdout and stderr as they came. */
  readonly output: string;
}

export interface Meter {
  readonly kind: Session['meter'];
  /** Runs a process to its end; an abort of `stop` ends it and throws. */
  run(command: CommandLine): Promise<ProcessRun>;
}

/** @param scratch A folder of the benchmark's own, which is also the processes' folder for temporary files. */
export async function openMeter(scratch: string, stop: AbortSignal): Promise<Meter> {
  // The same for all, and nothing of npm's, whose variables some of them read.
  const common = {
    PATH: process.env['PATH'] ?? '',
    HOME: homedir(),
    TMPDIR: scratch,
    LANG: 'C.UTF-8',
    NO_COLOR: '1',
  };
  const time = findGnuTime();
  let count = 0;
  return {
    kind: time === undefined ? 'none' : 'GNU time',
    async run(command) {
      stop.throwIfAborted();
      const full = { ...command, env: { ...common, ...command.env } };
      if (time === undefined) return { ...(await runProcess(full, stop)), peakKb: undefined };
      count += 1;
      const file = join(scratch, `peak-${count}`);
      const args = ['--format=%M', `--output=${file}`, command.file, ...command.args];
      const run = await runProcess({ ...full, file: time, args }, stop);
      return { ...run, peakKb: await readPeak(file) };
    },
  };
}

/** It asks the kernel for the peak when the process has ended. Others' `time` has no such option. */
function findGnuTime(): string | undefined {
  const time = findProgram('time');
  if (time === undefined) return undefined;
  return spawnSync(time, ['--version'], { encoding: 'utf8' }).stdout?.includes('GNU') ? time : undefined;
}

/** The last line: before it stands what it has to say about exit codes. */
async function readPeak(file: string): Promise<number | undefined> {
  const peak = Number((await readFile(file, 'utf8')).trim().split('\n').at(-1));
  return Number.isNaN(peak) ? undefined : peak;
}

function runProcess(command: CommandLine, stop: AbortSignal): Promise<Omit<ProcessRun, 'peakKb'>> {
  const { file, args, env, cwd } = command;
  const signal = AbortSignal.any([stop, AbortSignal.timeout(limitMs)]);
  let output = '';
  let ms = 0;
  const began = performance.now();
  // A group of its own: what it has started is ended with it, and a Ctrl-C is ours to pass on.
  const child = spawn(file, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const end = () => endGroup(child);
  signal.addEventListener('abort', end);
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-outputLimit);
    });
  }
  return new Promise((settle, fail) => {
    child.once('error', ({ message }) => settle({ ms, exitCode: undefined, output: message }));
    child.once('exit', () => {
      ms = performance.now() - began;
    });
    child.once('close', (exitCode) => {
      signal.removeEventListener('abort', end);
      if (stop.aborted) fail(stop.reason);
      else settle({ ms, exitCode: exitCode ?? undefined, output });
    });
  });
}

function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // it has ended by itself in the meantime
  }
}
