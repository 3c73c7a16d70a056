import type { Host } from '../../src/cli/host.ts';

interface GivenHost {
  readonly argv?: readonly string[];
  readonly env?: Record<string, string | undefined>;
  readonly cwd?: string;
  readonly terminationLog?: string;
}

/** A host that is no terminal, with what it was told on its two streams. */
export function createHost({
  argv = [],
  env = {},
  cwd = '/nowhere',
  terminationLog = '/nowhere/termination-log',
}: GivenHost) {
  const written = { stdout: '', stderr: '' };
  const streamOf = (name: keyof typeof written) => ({
    isTTY: false,
    columns: 80,
    write: (text: string) => {
      written[name] += text;
    },
  });
  const host: Host = {
    argv,
    env,
    cwd,
    terminal: undefined,
    stdout: streamOf('stdout'),
    stderr: streamOf('stderr'),
    terminationLog,
    stop: new AbortController().signal,
    abandon: new AbortController().signal,
  };
  return { host, written };
}
