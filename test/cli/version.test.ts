import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { runCli } from '../support/cli.ts';
import { runProgram } from '../support/run-program.ts';

const bin = resolve('dist/bin.js');

describe('--version', () => {
  test('prints the version and nothing else', async () => {
    expect(await runCli(['--version'])).toMatchObject({
      exitCode: 0,
      stdout: `${packageJson.version}\n`,
      stderr: '',
    });
  });

  test('loads no module but the program itself', async () => {
    const { stderr } = await runCli(['--version'], { env: { NODE_DEBUG: 'esm' } });

    expect(stderr).toContain('dist/bin.js');
    expect(stderr).not.toContain('dist/chunks/');
  });

  test('with more behind it is read as all arguments are', async () => {
    expect(await runCli(['--version', 'deploy'])).toMatchObject({
      exitCode: 0,
      stdout: `${packageJson.version}\n`,
    });
  });

  test('by npm, which kept an option for itself, is refused', async () => {
    const env = { npm_lifecycle_event: 'alteration', npm_config_dry_run: 'true' };

    const { exitCode, stdout, stderr } = await runCli(['--version'], { env });

    expect([exitCode, stdout]).toEqual([2, '']);
    expect(stderr).toContain('npm kept --dry-run for itself');
  });

  test('for a reader who has gone is no failure', async () => {
    const command = `(sleep 0.5; "$0" "$1" --version; echo "ended with $?" >&2) | true`;

    expect(await runProgram('bash', ['-c', command, process.execPath, bin])).toMatchObject({
      stderr: 'ended with 0\n',
    });
  });

  test.runIf(existsSync('/dev/full'))('that cannot be written is a failure', async () => {
    const { exitCode, stderr } = await runProgram('bash', [
      '-c',
      '"$0" "$1" --version > /dev/full',
      process.execPath,
      bin,
    ]);

    expect(exitCode).toBe(1);
    expect(stderr).toContain('ENOSPC');
  });
});
