import type { ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { type CliResult, startCli } from '../support/cli.ts';
import type { Moment } from './plans.ts';

/** A run of the built binary, and what it has told of itself. */
export interface ChaosRunner {
  readonly process: ChildProcess;
  readonly result: Promise<CliResult>;
  /** Waits for the moment; tells what it was, or nothing where the run has ended before. */
  readonly reach: (moment: Moment) => Promise<string | undefined>;
}

export interface RunnerOptions {
  readonly args: readonly string[];
  readonly url: string;
  /** Where it runs: no `.env` and no config file may be there. */
  readonly cwd: string;
}

/** Longer than any deploy of a random history takes, with all that is done to it. */
const limitMs = 60_000;

export function startRunner({ args, url, cwd }: RunnerOptions): ChaosRunner {
  const { process, result } = startCli(args, { env: { DB_URL: url, ALTERATION_LOG_LEVEL: 'debug' }, cwd });
  const boundaries = listenToBoundaries(process);
  const ended = new AbortController();
  const over = bounded(process, result).finally(() => ended.abort());
  over.catch(() => undefined); // whoever waits for the result is told
  return {
    process,
    result: over,
    reach: async (moment) => {
      if (moment.at === 'boundary') return boundaries.reach(moment.nth, moment.delayMs, ended.signal);
      return (await passes(moment.ms, ended.signal)) ? 'random instant' : undefined;
    },
  };
}

async function bounded(process: ChildProcess, result: Promise<CliResult>): Promise<CliResult> {
  let late = false;
  const deadline = setTimeout(() => {
    late = true;
    process.kill('SIGKILL');
  }, limitMs);
  const finished = await result.finally(() => clearTimeout(deadline));
  if (!late) return finished;
  throw new Error(`A runner was still running after ${limitMs} ms:\n${finished.stderr}`);
}

/** Each log line of a run is an event, and so the boundary between two of its steps. */
function listenToBoundaries({ stderr }: ChildProcess) {
  const told: string[] = [];
  const bell = new EventEmitter();
  if (stderr) {
    createInterface({ input: stderr }).on('line', (line) => {
      told.push(readMessage(line));
      bell.emit('told');
    });
  }
  return {
    reach: async (nth: number, delayMs: number, ended: AbortSignal): Promise<string | undefined> => {
      while (told.length < nth) {
        const goesOn = await once(bell, 'told', { signal: ended }).then(
          () => true,
          () => false,
        );
        if (!goesOn) return undefined;
      }
      if (delayMs > 0 && !(await passes(delayMs, ended))) return undefined;
      return told[nth - 1];
    },
  };
}

function readMessage(line: string): string {
  try {
    const { level, msg } = JSON.parse(line) as { level?: unknown; msg?: unknown };
    return level === 'error' ? 'failure told' : String(msg);
  } catch {
    return line;
  }
}

/** Whether the time passes before the run ends. */
async function passes(ms: number, signal: AbortSignal): Promise<boolean> {
  return pause(ms, true, { signal }).catch(() => false);
}
