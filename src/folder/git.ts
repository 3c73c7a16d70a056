import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The environment of a process, as `process.env` has it. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Why git gave no answer, in its own words. */
export class GitFailure extends Error {
  /** `absent`: there is no git to run · `no`: the answer to what was asked · `refused`: all else. */
  readonly kind: 'absent' | 'no' | 'refused';
  /** What git wrote, on one line. */
  readonly words: string;

  constructor(kind: GitFailure['kind'], words: string, cause: unknown) {
    super(words, { cause });
    this.name = 'GitFailure';
    this.kind = kind;
    this.words = words;
  }
}

export interface GitCall {
  /** Written to its standard input. */
  readonly input?: string;
  /** The index to use in place of the repository's. */
  readonly index?: string;
  /** Where to run it, in place of the folder. */
  readonly cwd?: string;
}

/** Runs git in a folder and returns what it printed. Throws a GitFailure, or the reason of the stop. */
export type Git = (args: readonly string[], call?: GitCall) => Promise<string>;

export function createGit(folder: string, env: Environment, stop: AbortSignal | undefined): Git {
  return async (args, { input, index, cwd = folder } = {}) => {
    stop?.throwIfAborted();
    try {
      const work = run('git', ['-C', cwd, ...settings, ...args], {
        env: { ...cleanEnvironment(env), ...(index === undefined ? {} : { GIT_INDEX_FILE: index }) },
        maxBuffer: Number.POSITIVE_INFINITY,
        windowsHide: true,
      });
      work.child.stdin?.on('error', () => undefined); // it may end without having read all: its exit code tells why
      work.child.stdin?.end(input);
      return (await work).stdout;
    } catch (error) {
      stop?.throwIfAborted(); // Ctrl-C ends git too
      throw describeFailure(error);
    }
  };
}

/** What a user's or a repository's settings could change in what is read, or have run. */
const settings = [
  'core.fsmonitor=false',
  'core.hooksPath=/dev/null',
  'core.sparseCheckout=false',
  'core.splitIndex=false',
  'log.diffMerges=first-parent',
  'log.follow=false',
  'log.showRoot=true',
  'log.showSignature=false',
].flatMap((setting) => ['-c', setting]);

/** Configuration stays: where repositories are trusted, and how to reach a remote. */
const kept =
  /^GIT_(?:CONFIG_(?:GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)|CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM|SSH|SSH_COMMAND|SSL_.*|LFS_.*)$/;

/** A hook's variables would lead git to another index or another repository than the folder's. */
function cleanEnvironment(env: Environment): Environment {
  const clean = Object.entries(env).filter(([name]) => !name.startsWith('GIT_') || kept.test(name));
  return {
    ...Object.fromEntries(clean),
    LC_ALL: 'C',
    LANGUAGE: '',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_TERMINAL_PROMPT: '0',
  };
}

function describeFailure(error: unknown): GitFailure {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const said = error instanceof Error && 'stderr' in error ? String(error.stderr).trim() : '';
  const kind = code === 'ENOENT' ? 'absent' : code === 1 && said === '' ? 'no' : 'refused';
  return new GitFailure(kind, (said || message).replace(/\s+/g, ' '), error);
}
