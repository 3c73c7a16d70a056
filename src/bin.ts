#!/usr/bin/env node
import { existsSync, readFileSync, writeSync } from 'node:fs';
import module from 'node:module';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import type { Host } from './cli/host.ts';
import { runnerVersion } from './operations/runner-version.ts';

// The process itself: arguments, streams, signals and exit code. Everything else is told what it needs.

const required = 24;
const echoMs = 500;
const parentMs = 200;
const major = Number(process.versions.node.split('.')[0]);
if (major < required) {
  process.stderr.write(`alteration needs Node ${required} or later; this is ${process.version}.\n`);
  process.exitCode = 2;
} else if (!printVersion()) {
  enableCompileCache();
  void runProcess().catch(tellDefect);
}

/**
 * Asked for the version and nothing else, it loads nothing else. Run by npm, which may have kept an option for itself,
 * or where the version cannot be written, it goes the way of all commands, which has words for that.
 */
function printVersion(): boolean {
  const [, , first, ...others] = process.argv;
  if (first !== '--version' || others.length > 0 || process.env['npm_lifecycle_event']) return false;
  try {
    writeSync(1, `${runnerVersion}\n`);
    return true;
  } catch {
    return false;
  }
}

/**
 * The container image brings compiled code along: its disk may be read-only, and each container starts anew. Elsewhere,
 * and for a user whom the image has none for, Node keeps it among the system's temporary files.
 */
function enableCompileCache(): void {
  const shipped = join(import.meta.dirname, 'compile-cache');
  const { FAILED } = module.constants.compileCacheStatus;
  if (existsSync(shipped) && module.enableCompileCache(shipped).status !== FAILED) return;
  module.enableCompileCache();
}

async function runProcess(): Promise<never> {
  const signals = catchSignals();
  const { main, StoppedError } = await import('./cli/main.ts');
  const stop = new AbortController();
  const abandon = new AbortController();
  const guard = guardProcess(abandon);
  const result = reserveStdout();
  let stopped: Error | undefined; // too late for what was done is no failure
  signals.deliver((signal) => {
    const error = new StoppedError(signal);
    if (stop.signal.aborted) {
      stopped ??= error;
      abandon.abort(error);
    } else stop.abort(error);
  });
  const stdout = watchOutput(process.stdout);
  watchOutput(process.stderr); // a log that cannot be written must not undo an alteration
  const terminal =
    process.stderr.isTTY && process.stdin.isTTY // in this order: stdin is not opened in vain
      ? { input: process.stdin, output: process.stderr }
      : undefined;
  const host = {
    argv: process.argv.slice(2),
    env: process.env,
    cwd: process.cwd(),
    terminal,
    stdout: result.output,
    stderr: process.stderr.isTTY ? process.stderr : outputOf(process.stderr),
    terminationLog: '/dev/termination-log',
    stop: stop.signal,
    abandon: abandon.signal,
  };
  spareMemory();
  const exitCode = await main(host);
  result.release();
  await Promise.all([flush(process.stdout), flush(process.stderr)]);
  guard.release();
  const failure = stdout.failure ?? leftOver(abandon.signal, stopped);
  const late = failure !== undefined && exitCode === 0;
  process.exit(late ? await tellLate(failure, host) : exitCode); // a script may have left timers or sockets behind
}

async function tellLate(failure: Error, host: Host): Promise<number> {
  const { tellLateFailure } = await import('./cli/tell-failure.ts');
  return tellLateFailure(failure, host);
}

/** Where not even a failure can be told as others are, as when a part of the program is not there. */
function tellDefect(error: unknown): void {
  process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
  process.exitCode = 1;
}

/** PostgreSQL's grammar is one huge function: V8 would take half a gigabyte to optimise it, and a container has less. */
function spareMemory(): void {
  for (const flag of ['--no-wasm-tier-up', '--no-wasm-dynamic-tiering']) setFlagsFromString(flag);
}

/** From the first moment on: as the first process of a container it would not be ended by a signal that nobody handles. */
function catchSignals() {
  const early: NodeJS.Signals[] = [];
  let receive = (signal: NodeJS.Signals): unknown => early.push(signal);
  const hear = process.env['npm_lifecycle_event'] ? hearThroughNpm : hearAll;
  hear((signal) => receive(signal));
  return {
    deliver: (receiver: (signal: NodeJS.Signals) => void) => {
      receive = receiver;
      for (const signal of early) receiver(signal);
    },
  };
}

function hearAll(receive: (signal: NodeJS.Signals) => void): void {
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, receive);
}

/**
 * npm passes on what the terminal has sent to all: that is one signal. And where a shell stands between the two, it is
 * the shell that npm's signal ends: then nobody is left who could stop this process, and it stops by itself.
 */
function hearThroughNpm(receive: (signal: NodeJS.Signals) => void): void {
  let heard: { readonly signal: NodeJS.Signals; readonly at: number } | undefined;
  const hear = (signal: NodeJS.Signals) => {
    const at = performance.now();
    if (heard?.signal === signal && at - heard.at < echoMs) return;
    heard = { signal, at };
    receive(signal);
  };
  hearAll(hear);
  const parent = process.ppid;
  if (!isShellOfNpm(parent)) return;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch);
    if (!heard) hear('SIGTERM'); // else what ended the shell was sent to all of its group
  }, parentMs).unref();
}

/** Told by its command line, which only Linux shows. A shell that has sent this process to the background may end. */
function isShellOfNpm(pid: number): boolean {
  const script = process.env['npm_lifecycle_script'];
  if (script === undefined || /(?<![&>])&(?![&>])/.test(script)) return false;
  try {
    const [, option, text] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return option === '-c' && text?.startsWith(script) === true;
  } catch {
    return false;
  }
}

/** What a script left running and that failed when nothing was waiting for it any more. */
function leftOver({ aborted, reason }: AbortSignal, told: unknown): Error | undefined {
  if (!aborted || reason === told) return undefined;
  return reason instanceof Error ? reason : new Error(String(reason));
}

/** Turns what a script does to the process into the failure of that script. */
function guardProcess(abandon: AbortController): { release: () => void } {
  const exit = process.exit;
  const refuseExit = (code?: number | string | null): never => {
    const error = new Error(`it called process.exit(${code ?? ''}), which would end the whole run`);
    abandon.abort(error);
    throw error;
  };
  const { reallyExit } = process as unknown as ReallyExit;
  process.exit = refuseExit;
  (process as unknown as ReallyExit).reallyExit = refuseExit;
  module.syncBuiltinESMExports(); // for those who import { exit } from 'node:process'
  const onFault = (error: unknown) => abandon.abort(error);
  const onIdle = () =>
    abandon.abort(new Error('it never settles: its promise is pending, and nothing is left to wait for'));
  process.on('uncaughtException', onFault);
  process.on('unhandledRejection', onFault);
  process.on('beforeExit', onIdle);
  process.on('warning', () => undefined);
  process.removeAllListeners('warning'); // Node's own notes on type stripping and module kinds are not the user's
  return {
    release: () => {
      process.exit = exit;
      (process as unknown as ReallyExit).reallyExit = reallyExit;
      module.syncBuiltinESMExports();
      process.off('beforeExit', onIdle);
    },
  };
}

/** What process.exit itself calls; Node's types do not know it. */
interface ReallyExit {
  reallyExit: (code?: number | string | null) => never;
}

/** Keeps stdout for the result, which may be one JSON document: what scripts print goes to stderr. */
function reserveStdout() {
  const { stdout, stderr } = process;
  const write = stdout.write;
  stdout.write = stderr.write.bind(stderr);
  return {
    output: {
      isTTY: stdout.isTTY ?? false,
      columns: stdout.columns || 80, // a terminal without a size has 0
      write: (text: string) => write.call(stdout, text),
    },
    release: () => {
      stdout.write = write;
    },
  };
}

function outputOf(stream: NodeJS.WriteStream) {
  return { isTTY: false, columns: 80, write: (text: string) => stream.write(text) };
}

/** `| head` closes the pipe: that is the reader's right, and no failure. */
function watchOutput(stream: NodeJS.WriteStream): { failure: Error | undefined } {
  const watch: { failure: Error | undefined } = { failure: undefined };
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') watch.failure = error;
  });
  return watch;
}

function flush(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.writableEnded) resolve();
    else stream.write('', () => resolve());
  });
}
