import { createRequire } from 'node:module';

/**
 * The library as an application gets it: loaded by Node, not by vitest. Imported in the usual way it would have vite
 * load the alterations of a test too, and nothing would be learnt of the loading that users get.
 */
export const library = createRequire(import.meta.url)(
  '../../src/index.ts',
) as typeof import('../../src/index.ts'); // the same file
