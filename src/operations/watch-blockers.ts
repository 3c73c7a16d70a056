import { setTimeout as pause } from 'node:timers/promises';
import type { Blocker } from '../core/errors.ts';
import { now } from '../now.ts';
import { readBlockers } from '../postgres/blockers.ts';
import type { Session, SideConnection } from '../postgres/session.ts';
import { waitAtMost } from '../postgres/wait-at-most.ts';
import type { RunEvent } from './events.ts';

/** Looks, over a connection of its own, who keeps the alteration under way waiting. */
export interface BlockerWatch {
  /** Watches a server process until the work is over; the pid may change meanwhile. */
  readonly during: <T>(watched: Watched, work: () => Promise<T>) => Promise<T>;
  /** Those last seen since the last work began. */
  readonly lastBlockers: () => readonly Blocker[];
}

interface Watched {
  /** File name. */
  readonly alteration: string;
  readonly lockTimeoutMs: number;
  readonly backendPid: () => number | undefined;
}

const reportEveryMs = 10_000;
const lastQueryMs = 1_000;

/** Calls `work` with a watch. It connects when a work takes long, and where it cannot, nobody is named. */
export async function withBlockerWatch<T>(
  { openSideConnection }: Session,
  report: (event: RunEvent) => void,
  work: (watch: BlockerWatch) => Promise<T>,
): Promise<T> {
  let side: Promise<SideConnection> | undefined;
  let last: readonly Blocker[] = [];
  const connect = () => {
    side ??= openSideConnection().catch((error: unknown) => {
      side = undefined; // there may be one to be had next time
      throw error;
    });
    return side;
  };
  const look = async (pid: number | undefined) =>
    pid === undefined ? [] : readBlockers(await connect(), pid);
  const during: BlockerWatch['during'] = async (watched, inner) => {
    last = [];
    const over = new AbortController();
    const keep = (blockers: readonly Blocker[]) => {
      last = blockers;
    };
    // Often enough to see what a lock timeout soon ends.
    const { lockTimeoutMs } = watched;
    const everyMs = lockTimeoutMs > 0 ? Math.min(1_000, Math.max(100, lockTimeoutMs / 3)) : 1_000;
    const watch = () => void watchUntil(over.signal, everyMs, watched, look, keep, report);
    const timer = setTimeout(watch, everyMs).unref(); // most are over before
    return inner().finally(() => {
      clearTimeout(timer);
      over.abort('over');
    });
  };
  try {
    return await work({ during, lastBlockers: () => last });
  } finally {
    const ended = side?.then((connection) => connection.end()).catch(() => undefined);
    if (ended) await waitAtMost(ended, lastQueryMs); // it may be in a query
  }
}

async function watchUntil(
  over: AbortSignal,
  everyMs: number,
  { alteration, backendPid }: Watched,
  look: (pid: number | undefined) => Promise<readonly Blocker[]>,
  keep: (blockers: readonly Blocker[]) => void,
  report: (event: RunEvent) => void,
): Promise<void> {
  let told = '';
  let toldAt = 0;
  try {
    for (;;) {
      const blockers = await look(backendPid());
      if (over.aborted) return;
      const pids = blockers.map(({ pid }) => pid).join();
      if (blockers.length > 0) keep(blockers);
      if (blockers.length > 0 && (pids !== told || now() - toldAt >= reportEveryMs)) {
        told = pids;
        toldAt = now();
        report({ type: 'blocked', alteration, blockers });
      }
      await pause(everyMs, undefined, { signal: over, ref: false });
    }
  } catch {
    // Over, or no further connection to be had: to name the blockers is a courtesy.
  }
}
