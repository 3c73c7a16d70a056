// The folder of an embedded server: its cluster, password and log. Any number of commands may open it at once.

import { randomBytes } from 'node:crypto';
import { chown, link, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AlterationError, ConfigurationError, type Problem } from '../core/errors.ts';
import {
  type Account,
  chooseAccount,
  findPrograms,
  type ProgramResult,
  type Programs,
  runProgram,
} from './embedded-programs.ts';

// Names in the folder. Programs run in it and get these, which no shell can misread, and not its path.
export const DATA = 'data';
export const PASSWORD = 'password';
export const LOG = 'server.log';

const LEFTOVER_AFTER_MS = 600_000;
const LINES = 10;

export interface ClusterOptions {
  /** Told what takes time, as a sentence. */
  readonly onProgress?: ((message: string) => void) | undefined;
  /** Ends the preparations; once the work runs it is the work's to heed. */
  readonly signal?: AbortSignal | undefined;
}

export interface Cluster extends ClusterOptions {
  /** Absolute path. */
  readonly folder: string;
  readonly programs: Programs;
  readonly account: Account;
  readonly password: string;
  /** Size of the log when the cluster was opened, in bytes. */
  readonly logStart: number;
}

/**
 * Opens the cluster of `folder`, which is made first where there is none. Throws ConfigurationError when
 * the server is not installed, the folder cannot be used, or its cluster is of another major version.
 */
export async function openCluster(folder: string, options: ClusterOptions): Promise<Cluster> {
  const programs = await findPrograms();
  try {
    await mkdir(folder, { recursive: true });
    const account = await chooseAccount(programs, folder, join(folder, DATA));
    const password = await keepPassword(folder, account);
    const logStart = await prepareLog(folder, account);
    const cluster = { ...options, folder, programs, account, password, logStart };
    if ((await readMajor(cluster)) === undefined) await createData(cluster);
    await removeLeftovers(folder);
    await checkMajor(cluster);
    return cluster;
  } catch (error) {
    if (error instanceof AlterationError || options.signal?.aborted) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigurationError(`The folder "${folder}" cannot hold an embedded server: ${reason}.`, {
      hint: 'Use a folder of the user that runs this, on a local disk.',
      cause: error,
    });
  }
}

/** Returns the folder's password, and makes one first where there is none. */
async function keepPassword(folder: string, account: Account): Promise<string> {
  const path = join(folder, PASSWORD);
  const existing = await readOptional(path);
  if (existing !== undefined) return existing.trim();
  const draft = join(folder, newName(PASSWORD));
  try {
    await writeFile(draft, `${randomBytes(24).toString('base64url')}\n`, { mode: 0o600 });
    await giveTo(account, draft);
    // A link appears with its content, and is refused where another command was first.
    await link(draft, path).catch((error: unknown) => {
      if (errorCode(error) !== 'EEXIST') throw error;
    });
  } finally {
    await rm(draft, { force: true });
  }
  return (await readFile(path, 'utf8')).trim();
}

/** Creates the cluster under another name and puts it in place whole; who comes second keeps the first one's. */
async function createData(cluster: Cluster): Promise<void> {
  const { folder, programs, account, signal, onProgress } = cluster;
  onProgress?.(`Creating a PostgreSQL ${programs.major} cluster in "${folder}".`);
  const draft = newName(DATA);
  try {
    await mkdir(join(folder, draft), { mode: 0o700 });
    await giveTo(account, join(folder, draft));
    const result = await runProgram(programs.initdb, initdbArguments(draft, programs.major), account, {
      cwd: folder,
      signal,
    });
    signal?.throwIfAborted();
    if (result.exitCode !== 0) throw initdbFailed(folder, result);
    await rename(join(folder, draft), join(folder, DATA)).catch(async (error: unknown) => {
      if ((await readMajor(cluster)) === undefined) throw error;
    });
  } finally {
    await rm(join(folder, draft), { recursive: true, force: true, maxRetries: 3 });
  }
}

function initdbArguments(draft: string, major: number): readonly string[] {
  // The same collation on every machine: the C library's locales differ from one to the next.
  const locale = major >= 17 ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'] : [];
  return [
    `--pgdata=${draft}`,
    `--pwfile=${PASSWORD}`,
    '--username=postgres',
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    '--locale=C',
    ...locale,
  ];
}

function initdbFailed(folder: string, result: ProgramResult): ConfigurationError {
  return new ConfigurationError(`PostgreSQL's initdb cannot create a cluster in "${folder}".`, {
    problems: lastLines(result.output),
  });
}

async function readMajor({ folder }: Cluster): Promise<number | undefined> {
  const text = await readOptional(join(folder, DATA, 'PG_VERSION'));
  return text === undefined ? undefined : Number.parseInt(text, 10);
}

async function checkMajor(cluster: Cluster): Promise<void> {
  const { folder, programs } = cluster;
  const major = await readMajor(cluster);
  if (major === programs.major) return;
  throw new ConfigurationError(
    `The folder "${folder}" holds a cluster of PostgreSQL ${major}, and the installed server is PostgreSQL ${programs.major}.`,
    { hint: 'Use another folder, or remove this one with the databases in it.' },
  );
}

/** Removes what commands that were killed while they created a cluster have left. */
async function removeLeftovers(folder: string): Promise<void> {
  const names = await readdir(folder);
  for (const name of names.filter((name) => /^(data|password)\.[0-9a-f]{12}\.new$/.test(name))) {
    const { mtimeMs } = await stat(join(folder, name)).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs < LEFTOVER_AFTER_MS) continue;
    // Several commands may be at it; what one of them cannot remove stops nobody.
    await rm(join(folder, name), { recursive: true, force: true }).catch(() => undefined);
  }
}

/** Makes the log one that the server's account can write; returns its size. */
async function prepareLog(folder: string, account: Account): Promise<number> {
  const path = join(folder, LOG);
  const log = await open(path, 'a', 0o600);
  try {
    return (await log.stat()).size;
  } finally {
    await log.close();
    await giveTo(account, path);
  }
}

async function giveTo({ uid, gid }: Account, path: string): Promise<void> {
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid);
}

/** The file's text, or undefined when there is no such file. */
export async function readOptional(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
}

function newName(name: string): string {
  return `${name}.${randomBytes(6).toString('hex')}.new`;
}

/** The end of what a program wrote. */
export function lastLines(text: string): readonly Problem[] {
  return text
    .trimEnd()
    .split(/\r?\n/)
    .slice(-LINES)
    .map((message) => ({ message }));
}

/** `ENOENT` and the like. */
export function errorCode(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined;
}
