// Writes docs/reference.md out of the tables that the command line itself is made from: `npm run docs`.

import { writeFile } from 'node:fs/promises';
import { renderReference } from '../src/cli/render-reference.ts';

await writeFile(new URL('reference.md', import.meta.url), renderReference());
