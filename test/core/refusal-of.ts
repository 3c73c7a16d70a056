import type { AlterationError } from '../../src/core/errors.ts';

/** The error of the class that the work ends with; anything else fails the test. */
export async function refusalOf<E extends AlterationError>(
  expected: new (...parameters: never[]) => E,
  work: () => unknown,
): Promise<E> {
  try {
    await work();
  } catch (error) {
    if (error instanceof expected) return error;
    throw error;
  }
  throw new Error(`A ${expected.name} was expected, and nothing failed.`);
}
