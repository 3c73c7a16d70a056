import { execFileSync } from 'node:child_process';
import { access, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { conclude } from '../../src/cli/conclude.ts';
import type { Ending } from '../../src/cli/ending.ts';
import { cutText } from '../../src/cli/termination-log.ts';
import { readGithubLog, readGithubOutputs } from '../support/github-log.ts';
import { deployed, failed, webhooks } from './endings.ts';
import { createHost } from './host.ts';

const done: Ending = { command: 'deploy', exitCode: 0, document: deployed, text: 'Applied 1 alteration.' };
const broken: Ending = { command: 'deploy', exitCode: 4, document: failed, text: '✖ It failed.' };

async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'alteration-test-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

describe('the termination log', () => {
  const plain = { output: 'plain', dir: 'alterations' } as const;

  it('holds how it ended, in place of what was there', async () => {
    const terminationLog = join(await makeFolder(), 'termination-log');
    await writeFile(terminationLog, 'x'.repeat(500));

    await conclude(done, createHost({ terminationLog }).host, plain);

    expect(await readFile(terminationLog, 'utf8')).toBe(
      'deploy: applied 1 alteration, the database is at 1.4.0',
    );
  });

  it('is not created', async () => {
    const terminationLog = join(await makeFolder(), 'termination-log');

    await conclude(done, createHost({ terminationLog }).host, plain);

    expect(await exists(terminationLog)).toBe(false);
  });

  it.each([
    ['a folder', (path: string) => mkdir(path)],
    ['a pipe that nobody reads', async (path: string) => execFileSync('mkfifo', [path])],
    ['a link to nothing', (path: string) => symlink('/nowhere/at/all', path)],
    ['no file, as its folder is none', async () => undefined],
  ])('is nobody’s failure where it is %s', async (_, make) => {
    const folder = await makeFolder();
    const terminationLog = join(folder, 'termination-log');
    await make(terminationLog);
    const { host, written } = createHost({ terminationLog });

    await conclude(broken, host, plain);

    expect(written).toEqual({ stdout: '', stderr: '' });
  });

  it('hides passwords, and takes no more than 4096 bytes', async () => {
    const terminationLog = join(await makeFolder(), 'termination-log');
    await writeFile(terminationLog, '');
    const message = `postgres://me:S3CRET@h/db refused: ${'ß'.repeat(5_000)}`;
    const document = { ...failed, error: { ...failed.error, message } };

    await conclude({ ...broken, document }, createHost({ terminationLog }).host, plain);

    const text = await readFile(terminationLog, 'utf8');
    expect(text).toMatch(/^exit 4: postgres:\/\/me:\*\*\*@h\/db refused: ß+…$/);
    expect(Buffer.byteLength(text)).toBeGreaterThan(4090);
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(4096);
  });

  it.each([
    ['abc', 3, 'abc'],
    ['abcdef', 5, 'ab…'],
    ['ab😀cd', 8, 'ab😀cd'],
    ['ab😀cd', 7, 'ab…'],
  ])('cuts %s at %d bytes to %s', (text, bytes, cut) => {
    expect(cutText(text, bytes)).toBe(cut);
  });
});

describe('an ending on GitHub', () => {
  async function openStep(env: Record<string, string> = {}) {
    const folder = await makeFolder();
    const files = { GITHUB_OUTPUT: join(folder, 'output'), GITHUB_STEP_SUMMARY: join(folder, 'summary') };
    for (const path of Object.values(files)) await writeFile(path, '');
    const { host, written } = createHost({
      cwd: join(folder, 'app'),
      env: { ...files, GITHUB_WORKSPACE: folder, ...env },
    });
    return { folder, files, host, written };
  }
  const github = { output: 'github', dir: 'db' } as const;

  it('leaves outputs, a summary and an annotation', async () => {
    const { files, host, written } = await openStep();

    await conclude(broken, host, github);

    expect(readGithubOutputs(await readFile(files.GITHUB_OUTPUT, 'utf8'))).toMatchObject({
      applied: '1',
      pending: '2',
      'exit-code': '4',
    });
    expect(await readFile(files.GITHUB_STEP_SUMMARY, 'utf8')).toContain('```text\n✖ It failed.\n```');
    expect(readGithubLog(written.stderr).commands).toMatchObject([
      { name: 'error', properties: { file: `app/db/${webhooks.file}`, line: '3', col: '1' } },
    ]);
    expect(written.stdout).toBe('');
  });

  it('finds the file also where the checkout is reached by a link', async () => {
    const { folder, host, written } = await openStep();
    const link = join(await makeFolder(), 'link');
    await mkdir(join(folder, 'app', 'db'), { recursive: true });
    await symlink(folder, link);

    await conclude(broken, { ...host, env: { ...host.env, GITHUB_WORKSPACE: link } }, github);

    expect(readGithubLog(written.stderr).commands).toMatchObject([
      { properties: { file: `app/db/${webhooks.file}` } },
    ]);
  });

  it('adds to what the step has written before', async () => {
    const { files, host } = await openStep();
    await writeFile(files.GITHUB_OUTPUT, 'mine=1\n');
    await writeFile(files.GITHUB_STEP_SUMMARY, '# Mine\n');

    await conclude(done, host, github);
    await conclude(done, host, github);

    expect(readGithubOutputs(await readFile(files.GITHUB_OUTPUT, 'utf8'))).toMatchObject({
      mine: '1',
      applied: '1',
    });
    expect((await readFile(files.GITHUB_STEP_SUMMARY, 'utf8')).match(/^#.*$/gm)).toHaveLength(3);
  });

  it('leaves the summary as it is when there is no room for more', async () => {
    const { files, host } = await openStep();
    const full = 'x'.repeat(1024 * 1024 - 10);
    await writeFile(files.GITHUB_STEP_SUMMARY, full);

    await conclude(done, host, github);

    expect(await readFile(files.GITHUB_STEP_SUMMARY, 'utf8')).toBe(full);
  });

  it('tells in one notice what could not be written', async () => {
    const { host, written } = await openStep({ GITHUB_OUTPUT: '', GITHUB_STEP_SUMMARY: '/nowhere/summary' });

    await conclude(done, host, github);

    const { commands } = readGithubLog(written.stderr);
    expect(commands).toMatchObject([{ name: 'notice' }]);
    expect(commands[0]?.message).toMatch(
      /^GITHUB_OUTPUT is not set\. GITHUB_STEP_SUMMARY cannot be written: .*ENOENT/,
    );
  });

  it('hides passwords everywhere', async () => {
    const { files, host, written } = await openStep();
    const message = 'postgres://me:S3CRET@h/db is refused.';
    const document = { ...failed, error: { ...failed.error, message } };

    await conclude({ ...broken, document, text: `✖ ${message}` }, host, github);

    const summary = await readFile(files.GITHUB_STEP_SUMMARY, 'utf8');
    expect(summary + written.stderr).not.toContain('S3CRET');
    expect(summary).toContain('✖ postgres://me:***@h/db is refused.');
  });
});

describe('an ending on GitLab', () => {
  const gitlab = { output: 'gitlab', dir: 'db' } as const;
  const report = 'gl-code-quality-report.json';

  it('leaves the code quality report in the project, and replaces an older one', async () => {
    const folder = await makeFolder();
    const { host } = createHost({ cwd: join(folder, 'app'), env: { CI_PROJECT_DIR: folder } });
    const read = async (): Promise<unknown> => JSON.parse(await readFile(join(folder, report), 'utf8'));

    await conclude(broken, host, gitlab);
    expect(await read()).toMatchObject([
      { location: { path: `app/db/${webhooks.file}`, lines: { begin: 3 } } },
    ]);

    await conclude(done, host, gitlab);
    expect(await read()).toEqual([]);
  });

  it('leaves it in the working directory where there is no project', async () => {
    const cwd = await makeFolder();

    await conclude(done, createHost({ cwd }).host, gitlab);

    expect(await exists(join(cwd, report))).toBe(true);
  });

  it('leaves nothing of a command whose files are committed next', async () => {
    const cwd = await makeFolder();
    const document: Ending['document'] = {
      schemaVersion: 1,
      command: 'release',
      dryRun: false,
      version: '1.5.0',
      renamed: [],
    };

    await conclude({ command: 'release', exitCode: 0, document, text: '' }, createHost({ cwd }).host, gitlab);

    expect(await exists(join(cwd, report))).toBe(false);
  });

  it('says so when it cannot be written', async () => {
    const cwd = await makeFolder();
    await mkdir(join(cwd, report));
    const { host, written } = createHost({ cwd });

    await conclude(done, host, gitlab);

    expect(written.stderr).toMatch(/^The code quality report is not written: .*EISDIR.*\n$/);
  });

  it('does not follow a link in its place', async () => {
    const cwd = await makeFolder();
    await writeFile(join(cwd, 'precious'), 'precious');
    await symlink(join(cwd, 'precious'), join(cwd, report));
    const { host } = createHost({ cwd });

    await conclude(done, host, gitlab);

    expect(await readFile(join(cwd, 'precious'), 'utf8')).toBe('precious');
    expect(await readFile(join(cwd, report), 'utf8')).toBe('[]\n');
  });
});
