import type { LoadedAlteration } from '../folder/load-alterations.ts';

/** The lock timeout in milliseconds that an alteration sets for itself. */
export function lockTimeoutOf(loaded: LoadedAlteration, direction: 'up' | 'down'): number | undefined {
  if (loaded.kind === 'module') return loaded.lockTimeoutMs;
  return (direction === 'up' ? loaded.up : loaded.down)?.lockTimeoutMs;
}
