import { setTimeout as pause } from 'node:timers/promises';

/** What the work gives, or undefined when it takes longer. The process waits for it that long. */
export async function waitAtMost<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  const over = new AbortController();
  const patience = pause(ms, undefined, { signal: over.signal }).catch(() => undefined);
  return Promise.race([work, patience]).finally(() => over.abort());
}
