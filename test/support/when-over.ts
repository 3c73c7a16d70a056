import { afterAll, onTestFinished } from 'vitest';

/** Does the work when the test under way is over, or, outside of a test, when the file is. What was given last goes first. */
export function whenOver(work: () => Promise<unknown>): void {
  const done = async () => {
    await work();
  };
  try {
    onTestFinished(done);
  } catch {
    afterAll(done); // no test is under way; inside one, vitest would forget an afterAll
  }
}
