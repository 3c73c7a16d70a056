import { type ProgramResult, runProgram } from './run-program.ts';

/** Runs the docker command line to its end. */
export function runDocker(args: readonly string[]): Promise<ProgramResult> {
  return runProgram('docker', args);
}

/** Of a docker command that has to succeed: what it printed. */
export async function docker(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runDocker(args);
  if (exitCode !== 0) throw new Error(`docker ${args.join(' ')} failed (${exitCode}): ${stderr || stdout}`);
  return stdout.trim();
}

/** Throws where there is no Docker Engine to run containers: these tests must not pass without one. */
export async function requireEngine(): Promise<void> {
  try {
    await docker('version', '--format', '{{.Server.Version}}');
  } catch (error) {
    throw new Error(
      'The container tests need a Docker Engine, and none answers: start one, or run `npm test`, which needs none.',
      { cause: error },
    );
  }
}
