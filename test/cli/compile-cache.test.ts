import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { writeFiles } from '../support/folder.ts';
import { runProgram } from '../support/run-program.ts';

describe('compiled code that is shipped beside the program', () => {
  test('is taken by a deploy, and stays as it is', async () => {
    const folder = await createInstallation();
    await mkdir(join(folder, 'dist/compile-cache'));
    await deploy(folder);
    const shipped = await listFiles(join(folder, 'dist/compile-cache'));

    const { exitCode, stderr } = await deploy(folder);

    expect(exitCode).toBe(9);
    expect(findTaken(stderr)).toEqual(expect.arrayContaining(['main', 'deploy']));
    expect(stderr).not.toContain('was rejected');
    expect(await listFiles(join(folder, 'dist/compile-cache'))).toEqual(shipped);
  });

  test('that was made for others is done without', async () => {
    const folder = await createInstallation();
    await writeFiles(folder, { 'dist/compile-cache': 'no folder, where none can be made' });

    const { exitCode, stderr } = await deploy(folder);

    expect(exitCode).toBe(9);
    expect(stderr).toContain('Cannot create cache directory');
    expect(stderr).toContain('database-unreachable');
  });
});

/** The built program in a folder of its own, with one alteration. */
async function createInstallation(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'alteration-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  await cp('dist', join(folder, 'dist'), { recursive: true });
  await writeFiles(folder, {
    'package.json': '{ "type": "module" }',
    'alterations/1.0.0-1-first.sql': 'select 1;',
  });
  return folder;
}

/** A deploy that finds no database, and tells what Node does with compiled code. */
function deploy(folder: string) {
  return runProgram('env', [
    'NODE_DEBUG_NATIVE=COMPILE_CACHE',
    `TMPDIR=${folder}`,
    process.execPath,
    join(folder, 'dist/bin.js'),
    ...['deploy', 'latest', '--dir', join(folder, 'alterations'), '--connect-wait', '0'],
    ...['--db-url', 'postgres://nobody@127.0.0.1:1/none'],
  ]);
}

/** Names of the chunks whose compiled code was taken. */
function findTaken(log: string): readonly string[] {
  return [...log.matchAll(/code cache for ESM \S+\/chunks\/(\w+)-\S+ was accepted/g)].map(
    ([, name = '']) => name,
  );
}

async function listFiles(folder: string): Promise<readonly string[]> {
  return (await readdir(folder, { recursive: true })).toSorted();
}
