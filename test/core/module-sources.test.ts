import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openModuleSources, sourceDigestFor } from '../../src/folder/module-sources.ts';
import { type Files, withFolder, writeFiles } from '../support/module-folder.ts';

const digestIn = (folder: string, file: string) => openModuleSources(folder).digest(join(folder, file));
const digestOf = (files: Files, file = Object.keys(files)[0] ?? '') =>
  withFolder(files, async (folder) => digestIn(folder, file));

/** Whether the digest is another one after the change. */
function differsAfter(files: Files, change: (folder: string) => Promise<unknown>): Promise<boolean> {
  return withFolder(files, async (folder) => {
    const [file = ''] = Object.keys(files);
    const before = digestIn(folder, file);
    expect(before).toMatch(/^[0-9a-f]{64}$/);
    await change(folder);
    return before !== digestIn(folder, file);
  });
}

describe('the digest of a module', () => {
  test('is the same in another folder and under the name that a release gives it', async () => {
    const files = {
      'next-1-a.ts': `import { b } from './utils/b.js'; b()`,
      'utils/b.ts': 'export const b = f',
    };
    const { 'next-1-a.ts': a, ...others } = files;

    const digests = [await digestOf(files), await digestOf({ '1.0.0-1-a.ts': a, ...others })];

    expect(digests[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(digests[1]).toBe(digests[0]);
  });

  test.each([
    ['a character of its own', { 'a.ts': 'export default 2' }],
    ['a comment', { 'a.ts': 'export default 1 //' }],
  ])('is another one after a change of %s', async (_, change) => {
    const files = { 'a.ts': 'export default 1' };

    expect(await differsAfter(files, (folder) => writeFiles(folder, change))).toBe(true);
  });

  test('tells TypeScript from JavaScript', async () => {
    expect(await digestOf({ 'a.ts': 'f<g>(h)' })).not.toBe(await digestOf({ 'a.js': 'f<g>(h)' }));
  });

  const helper = { 'utils/b.ts': `import './c.ts'`, 'utils/c.ts': 'f(1)' };

  test.each([
    `import { b } from './utils/b.ts'; b()`,
    `import { b } from "./utils/b.js"; b()`,
    `export * from './utils/b.ts'`,
    `export { b } from'./utils/b.ts'`,
    `import './utils/b'`,
    'await import(`./utils/b.ts`)',
    `await import(/* webpackIgnore: './x */ './utils/b.ts')`,
    `require('./utils/b.ts')`,
    `import b = require('./utils/b.ts'); b()`,
    `// it's there\nimport './utils/b.ts'`,
    `const path = './nowhere; \`\nimport './utils/b.ts'`,
    `import './utils/../utils/b.ts'`,
    `import '../folder/utils/b.ts'`,
    `import './utils//b.ts'`,
    `const a = '\\n'; import './utils/b.ts'`,
  ])('covers what is imported, through others too: %s', async (text) => {
    const files = (changed: string) => ({
      'folder/a.ts': text,
      'folder/utils/b.ts': helper['utils/b.ts'],
      'folder/utils/c.ts': changed,
    });
    const digest = (each: Files) => withFolder(each, async (root) => digestIn(join(root, 'folder'), 'a.ts'));

    const [one, other] = [await digest(files('f(1)')), await digest(files('f(2)'))];

    expect(one).toMatch(/^[0-9a-f]{64}$/);
    expect(other).not.toBe(one);
  });

  test.each([
    ['a file that comes before the one imported', { 'b.js': 'f(1)' }],
    ['the file that a path means now', { 'b.ts.js': 'f(1)', 'b.mts': 'f(1)' }],
  ])('changes with %s', async (_, created) => {
    const files = { 'a.ts': `import './b.js'; import './b.mjs'`, 'b.ts': 'f(1)' };

    expect(await differsAfter(files, (folder) => writeFiles(folder, created))).toBe(true);
  });

  test('changes when an imported file is gone, moved, or there at last', async () => {
    const files = { 'a.ts': `import './b.ts'; import './d.ts'`, 'b.ts': 'f(1)' };

    expect(await differsAfter(files, (folder) => rm(join(folder, 'b.ts')))).toBe(true);
    expect(await differsAfter(files, (folder) => rename(join(folder, 'b.ts'), join(folder, 'd.ts')))).toBe(
      true,
    );
    expect(await differsAfter(files, (folder) => writeFiles(folder, { 'd.ts': 'f(1)' }))).toBe(true);
  });

  test('covers data that is imported, byte for byte', async () => {
    const files = {
      'a.ts': `import rows from './rows.json' with { type: 'json' }; f(rows)`,
      'rows.json': '[1]',
    };

    expect(await differsAfter(files, (folder) => writeFiles(folder, { 'rows.json': '[2]' }))).toBe(true);
  });

  test('knows a cycle, also through the module itself', async () => {
    const files = { 'a.ts': `import './b.ts'`, 'b.ts': `import './a.ts'; f(1)` };

    expect(
      await differsAfter(files, (folder) => writeFiles(folder, { 'b.ts': `import './a.ts'; f(2)` })),
    ).toBe(true);
  });

  test.each([
    ['an escaped dot', `import '\\x2e/b.ts'`],
    ['an escaped dot of another kind', `import '\\u002e/b.ts'`],
    ['a dot with a backslash before it', `import '\\./b.ts'`],
    ['an octal escape', `require('\\56/b.ts')`],
    ['a dot, and an escaped slash', `import '.\\/b.ts'`],
    ['two dots, and an escaped slash', `import '..\\x2fb.ts'`],
    ['an escape in the name', `import './\\x62.ts'`],
    ['a continued line', `import '\\\n./b.ts'`],
    ['a continued line in a template', 'import(`\\\r\n./b.ts`)'],
    ['a continued line of another kind', `import '\\\u2028./b.ts'`],
  ])('is none where the text may hide an import: %s', async (_, text) => {
    expect(await digestOf({ 'a.ts': text, 'b.ts': '' })).toBeUndefined();
    expect(await digestOf({ 'c.ts': `import './a.ts'`, 'a.ts': text })).toBeUndefined();
  });

  test('is none where a file cannot be read, or is data of some size', async () => {
    expect(await digestOf({ 'b.ts': '' }, 'a.ts')).toBeUndefined();
    expect(await digestOf({ 'a.ts': `read('./dump.csv')`, 'dump.csv': 'x'.repeat(2 ** 21) })).toBeUndefined();
  });
});

describe('what the history keeps of a digest', () => {
  test('names its scheme, and holds for one checksum', () => {
    expect(sourceDigestFor('module-1:a', 'b')).toMatch(/^module-1-source-1:[0-9a-f]{64}$/);
    expect(sourceDigestFor('module-1:a', 'b')).not.toBe(sourceDigestFor('module-1:c', 'b'));
    expect(sourceDigestFor('module-1:a', undefined)).toBeUndefined();
  });
});
