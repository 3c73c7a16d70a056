import { setImmediate } from 'node:timers/promises';
import { now } from '../now.ts';

/** So long signals, timeouts and sockets wait. */
const sliceMs = 4;

/** Gives the event loop a turn when some milliseconds have passed since the last one. */
export function createPause(): () => Promise<void> | undefined {
  let end = now() + sliceMs;
  return () => {
    if (now() < end) return undefined;
    return setImmediate().then(() => {
      end = now() + sliceMs;
    });
  };
}

/**
 * Visits the items one after the other, some milliseconds at a time, with a turn of the event loop between: files are
 * read several times faster synchronously, and thousands of them take a while. Ends early where `isOver` says so.
 */
export async function visitInSlices<T>(
  items: Iterable<T>,
  visit: (item: T) => void,
  isOver: () => boolean = () => false,
): Promise<void> {
  const pause = createPause();
  for (const item of items) {
    const turn = pause();
    if (turn) await turn; // an await of nothing would cost more than a file
    if (isOver()) return;
    visit(item);
  }
}
