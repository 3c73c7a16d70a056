import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';

/** What a run of the built binary left. */
export interface CliResult {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliOptions {
  /** Added to an environment that holds nothing but PATH and HOME; undefined takes a variable out again. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
}

/** A run of the built binary that is under way. */
export interface CliRun {
  readonly process: ChildProcess;
  readonly result: Promise<CliResult>;
}

/** Starts the built binary. */
export function startCli(args: readonly string[], { env = {}, cwd }: CliOptions = {}): CliRun {
  const child = spawn(process.execPath, [resolve('dist/bin.js'), ...args], {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd ? { cwd } : {}),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const result = new Promise<CliResult>((settle, fail) => {
    child.on('error', fail);
    child.on('close', (exitCode, signal) => settle({ exitCode, signal, stdout, stderr }));
  });
  return { process: child, result };
}

/** Runs the built binary to its end. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return startCli(args, options).result;
}
