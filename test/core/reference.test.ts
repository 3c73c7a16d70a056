import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { renderReference } from '../../src/cli/render-reference.ts';

test('docs/reference.md is what the command line says of itself; npm run docs writes it anew', async () => {
  expect(await readFile('docs/reference.md', 'utf8')).toBe(renderReference());
});
