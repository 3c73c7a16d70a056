import { type ChildProcess, spawn } from 'node:child_process';

export interface ProgramResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; that it fails is a result, as for those who type it. */
export function runProgram(program: string, args: readonly string[]): Promise<ProgramResult> {
  return new Promise((settle, fail) => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
    child.on('error', fail);
    child.on('close', (code) => settle({ exitCode: code ?? -1, stdout: stdout(), stderr: stderr() }));
  });
}

function collect(stream: NonNullable<ChildProcess['stdout']>): () => string {
  let text = '';
  stream.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  return () => text;
}
