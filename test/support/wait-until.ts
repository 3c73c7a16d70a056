import { setTimeout as pause } from 'node:timers/promises';

/** Polls until the probe gives something other than undefined and false; fails after half a minute, naming it. */
export async function waitUntil<T>(what: string, probe: () => Promise<T | undefined | false>): Promise<T> {
  const start = performance.now();
  while (performance.now() - start < 30_000) {
    const found = await probe();
    if (found !== undefined && found !== false) return found;
    await pause(20);
  }
  throw new Error(`waited in vain until ${what}`);
}
