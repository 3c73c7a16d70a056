import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';
import { docker, runDocker } from './docker.ts';
import { serverAlias } from './postgres-container.ts';
import type { ProgramResult } from './run-program.ts';
import { whenOver } from './when-over.ts';

export interface ContainerOptions {
  readonly image: string;
  /** Between `docker run` and the image. */
  readonly options?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Default: the network that leads to nothing but the database. */
  readonly network?: string;
}

/** As a Pod has them: the command replaces the image's entry point, the arguments follow either. */
export interface Command {
  readonly command?: readonly string[] | undefined;
  readonly args?: readonly string[] | undefined;
}

/** What an operator who trusts nobody gives a container: see the manifests in deploy/kubernetes. */
export const locked = [
  '--read-only',
  '--cap-drop=ALL',
  '--security-opt=no-new-privileges',
  '--user=1000730000:0', // OpenShift: any uid, without a name and a home
] as const;

/** The two ways to run it: the entry point with arguments, and the command line that people have in their manifests. */
export const ways = [
  ['the entry point', (args: string): Command => ({ args: args.split(' ') })],
  [
    'sh -c npm run',
    (args: string): Command => ({ command: ['/bin/sh', '-c', `npm run alteration ${args}`] }),
  ],
] as const;

export interface RunningContainer {
  readonly id: string;
  /** What it has printed so far, on both streams. */
  readonly log: () => Promise<string>;
  /** `docker stop`: SIGTERM to its first process, SIGKILL after the time; done when it has ended. */
  readonly stop: (seconds: number) => Promise<void>;
  readonly kill: () => Promise<void>;
  /** Waits for its end; gives its exit code. */
  readonly ended: () => Promise<number>;
}

/** Runs a container to its end. */
export function runContainer(options: ContainerOptions, command: Command): Promise<ProgramResult> {
  return runDocker(['run', '--rm', ...argumentsOf(options, command)]);
}

/** Starts a container; it goes with the test. */
export async function startContainer(options: ContainerOptions, command: Command): Promise<RunningContainer> {
  const id = await docker('run', '--detach', ...argumentsOf(options, command));
  whenOver(() => docker('rm', '--force', '--volumes', id));
  return {
    id,
    log: async () => {
      const { stdout, stderr } = await runDocker(['logs', id]);
      return stdout + stderr;
    },
    stop: async (seconds) => {
      await docker('stop', '--time', String(seconds), id);
    },
    kill: async () => {
      await docker('kill', id);
    },
    ended: async () => Number(await docker('wait', id)),
  };
}

function argumentsOf(
  { image, options = [], env = {}, network = inject('closedNetwork') }: ContainerOptions,
  { command: [entryPoint, ...rest] = [], args = [] }: Command,
): readonly string[] {
  const variables = Object.entries(env).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
  const name = `alteration-test-${randomBytes(6).toString('hex')}`;
  const entry = entryPoint === undefined ? [] : ['--entrypoint', entryPoint];
  return ['--name', name, '--network', network, ...variables, ...options, ...entry, image, ...rest, ...args];
}

/** The URL as containers in the database's networks have to say it. */
export function insideUrl(url: string): string {
  const inside = new URL(url);
  inside.host = `${serverAlias}:5432`;
  return inside.href;
}
