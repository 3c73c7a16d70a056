// Which files a run of the built binary asks the system for, each time it does: Node's own trace does not tell of what.

import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

/** One system call that names a file, or is about an open one. */
export interface FileCall {
  readonly kind: 'open' | 'look';
  readonly path: string;
}

/** Runs the built binary under `strace`. Throws where that is not there, or the run fails. */
export async function listFileCalls(
  args: readonly string[],
  { cwd, env }: { readonly cwd: string; readonly env: Readonly<Record<string, string>> },
): Promise<readonly FileCall[]> {
  const folder = await mkdtemp(join(tmpdir(), 'alteration-test-'));
  try {
    const options = [
      '-ff',
      '-y',
      '-qq',
      '-s',
      '4096',
      '-e',
      'trace=%file,fstat',
      '-o',
      join(folder, 'thread'),
    ];
    const program = [process.execPath, resolve('dist/bin.js'), ...args];
    const common = { PATH: process.env['PATH'], HOME: process.env['HOME'] };
    await promisify(execFile)('strace', [...options, ...program], { cwd, env: { ...common, ...env } }).catch(
      explain,
    );
    const threads = (await readdir(folder)).sort(); // a file each, so that no line stands within another
    const texts = await Promise.all(threads.map((name) => readFile(join(folder, name), 'utf8')));
    return texts.flatMap((text) => text.split('\n').flatMap((line) => parseCall(line, cwd) ?? []));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function explain(cause: NodeJS.ErrnoException): never {
  if (cause.code !== 'ENOENT') throw cause;
  throw new Error('These tests need strace: Linux, and "strace" of the package of that name.', { cause });
}

// openat(AT_FDCWD</where/it/runs>, "file", …) = …, stat("file", …), statx(21</its/path>, "", …), fstat(21</its/path>, …)
const namedCall = /^(\w+)\((?:\w+(?:<([^>]*)>)?, )?"([^"]*)"/;
const openCall = /^(\w+)\(\d+<([^>]*)>/;

function parseCall(line: string, cwd: string): FileCall | undefined {
  const [, call, base = cwd, name = ''] = namedCall.exec(line) ?? openCall.exec(line) ?? [];
  if (call === undefined) return undefined;
  return { kind: /^open(?:at2?)?$/.test(call) ? 'open' : 'look', path: resolve(base, name) };
}
