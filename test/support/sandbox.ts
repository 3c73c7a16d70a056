import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, inject } from 'vitest';
import { type CliOptions, type CliResult, startCli } from './cli.ts';
import { runSql, type TestDatabase } from './database.ts';
import { writeFiles } from './folder.ts';

/** A folder and a database of a test's own, so that tests can run at the same time, and the binary run in them. */
export interface Sandbox extends TestDatabase {
  /** Where the binary runs: there is no `.env` and no config file in it unless the test writes one. */
  readonly root: string;
  /** The alterations folder in it. */
  readonly dir: string;
  readonly start: (args: readonly string[], options?: CliOptions) => SandboxRun;
  readonly run: (args: readonly string[], options?: CliOptions) => Promise<CliResult>;
  /** A connection that lasts until the tests of the file are over, or until it is ended. */
  readonly connect: () => Promise<pg.Client>;
}

export interface SandboxRun {
  readonly kill: (signal: NodeJS.Signals) => void;
  /** What it has written to stderr so far. */
  readonly stderr: () => string;
  readonly result: Promise<CliResult>;
}

/** Of the role that DB_URL names; it needs percent-encoding, and may not be in any output. */
export const password = 'c0rrect/h@rse:b%ttery';

/** Stderr is no terminal here; most tests look at what people read all the same. Those of the log lines say so. */
const defaults = { ALTERATION_LOG_FORMAT: 'pretty' };

/** Makes sandboxes, with these files in the alterations folder; they go with the test file. Call it at its top. */
export function useSandboxes(): (files?: Readonly<Record<string, string>>) => Promise<Sandbox> {
  const serverUrl = inject('serverUrl');
  const role = `test_${randomBytes(8).toString('hex')}`;
  const ends: (() => Promise<unknown>)[] = [];
  beforeAll(() => runSql(serverUrl, `create role ${role} superuser login password '${password}'`));
  afterAll(async () => {
    for (const end of ends.reverse()) await end();
    await runSql(serverUrl, `drop role ${role}`);
  });
  return async (files = {}) => {
    const name = `test_${randomBytes(8).toString('hex')}`;
    await runSql(serverUrl, `create database ${name}`);
    ends.push(() => runSql(serverUrl, `drop database if exists ${name} with (force)`));
    const root = await createRoot(files);
    ends.push(() => rm(root, { recursive: true, force: true }));
    return openSandbox({ name, root, url: urlOf(serverUrl, name, role), ends });
  };
}

async function createRoot(files: Readonly<Record<string, string>>): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'alteration-test-'));
  await symlink(resolve('node_modules'), join(root, 'node_modules'));
  await writeFile(join(root, 'package.json'), '{ "type": "module" }');
  await mkdir(join(root, 'alterations'));
  await writeFiles(join(root, 'alterations'), files);
  return root;
}

function urlOf(serverUrl: string, database: string, role: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  url.username = role;
  url.password = encodeURIComponent(password);
  return url.href;
}

interface Parts {
  readonly name: string;
  readonly root: string;
  readonly url: string;
  readonly ends: (() => Promise<unknown>)[];
}

function openSandbox({ name, root, url, ends }: Parts): Sandbox {
  const start = (args: readonly string[], { env = {}, cwd = root }: CliOptions = {}): SandboxRun => {
    const { process, result } = startCli(args, { env: { ...defaults, DB_URL: url, ...env }, cwd });
    let stderr = '';
    process.stderr?.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    ends.push(async () => process.kill('SIGKILL')); // nothing happens to one that has ended
    return {
      kill: (signal) => process.kill(signal),
      stderr: () => stderr,
      result: result.then(refusePassword),
    };
  };
  const connect = async () => {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined); // the database may be dropped under it
    await client.connect();
    ends.push(() => client.end());
    return client;
  };
  return {
    url,
    name,
    root,
    dir: join(root, 'alterations'),
    query: (text, values) => runSql(url, text, values),
    start,
    run: (args, options) => start(args, options).result,
    connect,
  };
}

function refusePassword(result: CliResult): CliResult {
  const output = result.stdout + result.stderr;
  if (![password, encodeURIComponent(password)].some((form) => output.includes(form))) return result;
  throw new Error(`The password stands in the output:\n${output}`);
}
