import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import type { CliOptions, CliResult, CliRun } from './cli.ts';

/** A network of its own, with a cable to this machine that can be pulled out. On Linux, and for root. */
export interface NetworkNamespace {
  /** This machine's address on the cable. */
  readonly hostAddress: string;
  /** Starts the built binary in it. */
  readonly startCli: (args: readonly string[], options?: CliOptions) => CliRun;
  /** Pulls the cable out: nothing arrives any more, and no connection is closed for it. */
  readonly cut: () => Promise<void>;
  readonly mend: () => Promise<void>;
  /** Ends what still runs in it, and takes it away with its cable. */
  readonly remove: () => Promise<void>;
}

/** Throws where the machine does not let it. */
export async function createNetworkNamespace(): Promise<NetworkNamespace> {
  const cable = newCable();
  const { namespace, near, hostAddress } = cable;
  await runIp(`netns add ${namespace}`).catch(refuseMachine);
  const onExit = () => removeNow(cable);
  process.once('exit', onExit);
  const remove = async () => {
    process.off('exit', onExit);
    await removeCable(cable);
  };
  await layCable(cable).catch(async (error: unknown) => {
    await remove();
    throw error;
  });
  return {
    hostAddress,
    startCli: (args, options) => startCliIn(namespace, args, options),
    cut: () => runIp(`link set ${near} down`),
    mend: () => runIp(`link set ${near} up`),
    remove,
  };
}

interface Cable {
  readonly namespace: string;
  /** Its end on this machine, and the one in the namespace. */
  readonly near: string;
  readonly far: string;
  readonly hostAddress: string;
  readonly farAddress: string;
}

function newCable(): Cable {
  const id = randomBytes(4).toString('hex');
  // Addresses that are nobody's: they are set aside for trials (RFC 2544).
  const network = `198.18.${randomInt(256)}`;
  const first = 4 * randomInt(64);
  return {
    namespace: `alteration-test-${id}`,
    near: `alt${id}n`, // 15 characters are the most
    far: `alt${id}f`,
    hostAddress: `${network}.${first + 1}`,
    farAddress: `${network}.${first + 2}`,
  };
}

async function layCable({ namespace, near, far, hostAddress, farAddress }: Cable): Promise<void> {
  await runIp(`link add ${near} type veth peer name ${far} netns ${namespace}`);
  await runIp(`address add ${hostAddress}/30 dev ${near}`);
  await runIp(`link set ${near} up`);
  await runIp(`-n ${namespace} address add ${farAddress}/30 dev ${far}`);
  await runIp(`-n ${namespace} link set ${far} up`);
}

async function runIp(command: string): Promise<void> {
  await promisify(execFile)('ip', command.split(' '));
}

function refuseMachine(cause: unknown): never {
  throw new Error(
    'These tests need network namespaces: Linux, root with all capabilities, and "ip" of the package iproute2.',
    { cause },
  );
}

async function removeCable({ namespace, near }: Cable): Promise<void> {
  const { stdout } = await promisify(execFile)('ip', ['netns', 'pids', namespace]);
  for (const pid of stdout.split('\n').filter(Boolean)) endProcess(Number(pid));
  await runIp(`link delete ${near}`).catch(() => undefined); // it may not have come into being
  await runIp(`netns delete ${namespace}`);
}

function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it has ended by itself
  }
}

/** For a process that ends without having removed it: nothing can be awaited any more. */
function removeNow({ namespace, near }: Cable): void {
  for (const command of [`link delete ${near}`, `netns delete ${namespace}`]) {
    try {
      execFileSync('ip', command.split(' '), { stdio: 'ignore' });
    } catch {
      // it is gone already
    }
  }
}

/** `ip netns exec` becomes the program that it runs: a signal reaches that. */
function startCliIn(namespace: string, args: readonly string[], { env = {}, cwd }: CliOptions = {}): CliRun {
  const program = [process.execPath, resolve('dist/bin.js'), ...args];
  const child = spawn('ip', ['netns', 'exec', namespace, ...program], {
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(cwd ? { cwd } : {}),
  });
  return { process: child, result: collectResult(child) };
}

function collectResult(child: ChildProcess): Promise<CliResult> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return new Promise((settle, fail) => {
    child.on('error', fail);
    child.on('close', (exitCode, signal) => settle({ exitCode, signal, stdout, stderr }));
  });
}
