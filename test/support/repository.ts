import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll } from 'vitest';
import { type CliOptions, type CliResult, type CliRun, startCli } from './cli.ts';
import { writeFiles } from './folder.ts';

const run = promisify(execFile);

/** Texts by names; undefined removes a file. */
export type Files = Readonly<Record<string, string | undefined>>;

/** A git repository of a test's own. */
export interface Repository {
  readonly root: string;
  /** The alterations folder in it. */
  readonly dir: string;
  readonly git: (...args: readonly string[]) => Promise<string>;
  /** Writes and removes files of the alterations folder. */
  readonly write: (files: Files) => Promise<void>;
  /** Does so, and commits all there is. */
  readonly commit: (files: Files) => Promise<void>;
  /** Starts the built binary's `check --ci` at the root. */
  readonly start: (args?: readonly string[], options?: CliOptions) => CliRun;
  /** Runs it to its end. */
  readonly check: (args?: readonly string[], options?: CliOptions) => Promise<CliResult>;
}

export interface Repositories {
  /** A new repository, whose alterations folder has this path from its top. */
  readonly create: (folder?: string) => Promise<Repository>;
  /** A clone by the options of `git clone`. */
  readonly clone: (origin: Repository, ...options: readonly string[]) => Promise<Repository>;
  /** A folder that is no repository, with these files in its alterations folder. */
  readonly createPlain: (files: Files) => Promise<Repository>;
}

/** Makes repositories that go with the test file. Call it at its top. */
export function useRepositories(): Repositories {
  const roots: string[] = [];
  afterAll(() => Promise.all(roots.map((root) => rm(root, { recursive: true, force: true }))));
  const makeRoot = async () => {
    const root = await mkdtemp(join(tmpdir(), 'alteration-test-'));
    roots.push(root);
    return root;
  };
  return {
    create: async (folder) => {
      const repository = await openRepository(await makeRoot(), folder);
      await repository.git('init', '--quiet', '--initial-branch=main');
      return repository;
    },
    clone: async (origin, ...options) => {
      const root = await makeRoot();
      await origin.git('clone', '--quiet', ...options, `file://${origin.root}`, root);
      return openRepository(root);
    },
    createPlain: async (files) => {
      const folder = await openRepository(await makeRoot());
      await folder.write(files);
      return folder;
    },
  };
}

/** No settings of this machine's. */
const settings = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1' };
const author = {
  GIT_AUTHOR_NAME: 'Ann',
  GIT_AUTHOR_EMAIL: 'ann@example.com',
  GIT_COMMITTER_NAME: 'Ann',
  GIT_COMMITTER_EMAIL: 'ann@example.com',
};

/** A repository by its top: also a worktree or a submodule of another one. */
export async function openRepository(root: string, folder = 'alterations'): Promise<Repository> {
  const dir = join(root, folder);
  await mkdir(dir, { recursive: true });
  const env = { ...settings, ...author, PATH: process.env['PATH'] };
  const git = async (...args: readonly string[]) =>
    (await run('git', [...args], { cwd: root, env })).stdout.trim();
  const write = async (files: Files) => {
    for (const [name, text] of Object.entries(files)) {
      if (text === undefined) await rm(join(dir, name));
      else await writeFiles(dir, { [name]: text });
    }
  };
  const start: Repository['start'] = (args = [], { env: added = {}, cwd = root } = {}) =>
    startCli(['check', '--ci', '--dir', folder, ...args], {
      env: { ...settings, ALTERATION_LOG_FORMAT: 'pretty', ...added },
      cwd,
    });
  return {
    root,
    dir,
    git,
    write,
    commit: async (files) => {
      await write(files);
      await git('add', '--all');
      await git('commit', '--quiet', '--message', 'change', '--allow-empty');
    },
    start,
    check: (args, options) => start(args, options).result,
  };
}
