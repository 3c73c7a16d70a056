import { setImmediate } from 'node:timers/promises';

/** So long signals, timeouts and sockets wait. */
const sliceMs = 4;

/**
 * Visits the items one after the other, some milliseconds at a time, with a turn of the event loop between: files are
 * read several times faster synchronously, and thousands of them take a while. Ends early where `isOver` says so.
 */
export async function visitInSlices<T>(
  items: Iterable<T>,
  visit: (item: T) => void,
  isOver: () => boolean = () => false,
): Promise<void> {
  let end = performance.now() + sliceMs;
  for (const item of items) {
    if (performance.now() >= end) {
      await setImmediate();
      end = performance.now() + sliceMs;
    }
    if (isOver()) return;
    visit(item);
  }
}
