import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { checksumModule, checksumOf, type Files, withFolder } from '../support/module-folder.ts';

describe('an import', () => {
  const checksums = async (source: string, file: string) => ({
    without: await checksumOf({ [file]: source }),
    withImport: await checksumOf({ [file]: `import { a } from 'x'; ${source}` }),
  });

  it.each([
    'a',
    'f(a, { b: a, [a]: 1, ...a })',
    'f({ a })',
    'f({ [a]: 1 })',
    'f({ [a]() {} })',
    'b[a]',
    'b?.[a]',
    'a.b',
    'new a',
    'typeof a',
    'a`b`',
    `\`b\${a}\``,
    'import(a)',
    '(() => a)()',
    'class B extends a {}',
    'class B { c = a }',
    'class B { [a] = 1 }',
    'class B { [a]() {} }',
    'class B { static { a } }',
    '@a class B {}',
    'class B { @a c() {} }',
    'f((b = a) => b)',
    'f(({ b = a }) => b)',
    'f(({ [a]: b }) => b)',
    'f(([b = a]) => b)',
    'f((...[b = a]) => b)',
    'const { [a]: b } = c',
    'const [{ b = a }] = c',
    'const { ...b } = a',
    '[b = a] = c',
    '({ b: a } = c)',
    'function f(b = a) { var a }',
    '{ f(function a() {}); a() }',
    '{ f(class a {}); a() }',
    '{ let a; } a',
    '{ function a() {} } a',
    'function f() { { let a; } a }',
    'for (b of a);',
    'for (let a of b); a',
    'try {} catch { a }',
    'try {} catch (a) {} a',
    'switch (a) { case 1: { let a } }',
    'a: a',
    'export { a }',
    'export { a as b }',
    'export default a',
  ])('counts where it is used: %s', async (source) => {
    const { without, withImport } = await checksums(source, 'a.js');

    expect(withImport).not.toBe(without);
  });

  it.each([
    'enum B { C = f(a) }',
    'import c = a.b; c',
    'namespace B { export const c = a }',
    'namespace B { const a = 1; } a',
    'export = a',
    'f(a as B, a!, <B>a)',
    'class B { constructor(@a private c) {} }',
    'class B<C> extends a<C> {}',
  ])('counts where it is used: %s', async (source) => {
    const { without, withImport } = await checksums(source, 'a.ts');

    expect(withImport).not.toBe(without);
  });

  it.each([
    '',
    'f((a) => a)',
    'f(function (a) { a })',
    'f(function a() { a })',
    'f({ b(a) { a } })',
    'f(({ a }) => a)',
    'f(({ b: a }) => a)',
    'f(({ b: { c: [a] } }) => a)',
    'f(([, a]) => a)',
    'f((...a) => a)',
    'f(({ ...a }) => a)',
    'f((a = 1) => a)',
    'f((a, b = a) => b)',
    'class B { c(a) { a } }',
    'class B { #c(a) { a } }',
    'class B { static { var a; a } }',
    'f(class a { b = a })',
    '{ class a { b = a } a }',
    '{ let a; a }',
    '{ a(); function a() {} }',
    '{ const { a } = b; a }',
    'function f() { return a; var a }',
    'function f() { if (b) { for (;;) { var a } } return a }',
    'function f() { for (var a of b); return a }',
    'for (let a = 1; a;) a',
    'for (const a of b) a',
    'for (const a in b) a',
    'switch (b) { case 1: let a; a }',
    'try {} catch (a) { a }',
    'try {} catch ({ b: a }) { a }',
    'f({ a: 1, a() {} })',
    'b.a',
    'b?.a',
    'class B { a = 1; #a = 2; c() { return this.#a } }',
    'class B { a() {} static get a() {} }',
    'class B { accessor a = 1 }',
    'a: for (;;) { if (b) break a; continue a }',
    'import.meta',
    'f(function () { new.target })',
    `export { a } from 'y'`,
    `export * as a from 'y'`,
    'let b; export { b as a }',
    `import { a as b } from 'y'; b()`,
    `import b from 'y' with { a: 'c' }; b()`,
  ])('does not count where the name is another one: %s', async (source) => {
    const { without, withImport } = await checksums(source, 'a.js');

    expect(withImport).toBe(without);
  });

  it.each([
    'type B = a | typeof a',
    'let b: a',
    'f<a>()',
    'interface B extends a { [a]: 1 }',
    'class B implements a { c?: a; [d: a]: a }',
    'function f(this: a, b: a): a {}',
    'const b = c satisfies a as a',
    'enum B { a = 1, C = f(a) }',
    'namespace B { const a = 1; f(a) }',
    'namespace B { namespace a.c { f() } f(a) }',
    'namespace B { import a = C.d; f(a) }',
    'namespace B { { var a } f(a) }',
    'declare const b: typeof a',
    'export type { a }',
  ])('does not count where only types are: %s', async (source) => {
    const { without, withImport } = await checksums(source, 'a.ts');

    expect(withImport).toBe(without);
  });

  it('of a namespace is a value, also where it holds only types', async () => {
    const files = (source: string) => ({ 'a.ts': source, 'b.ts': 'export type A = 1;' });

    const exported = await checksumOf(files(`import * as b from './b.js'; export { b };`));

    expect(exported).not.toBe(await checksumOf(files('')));
  });
});

describe('the files that a module imports', () => {
  const main = `import { help } from './utils/help.js';\nexport default { up: help };`;

  it.each<[string, Files]>([
    ['an import', { 'a.ts': `import { help } from './help.js'; help();`, 'help.ts': '#' }],
    ['an import for its effect', { 'a.ts': `import './help.js';`, 'help.ts': '#' }],
    ['a dynamic import', { 'a.ts': `await import('./help.js');`, 'help.ts': '#' }],
    ['a dynamic import of a template', { 'a.ts': 'await import(`./help.js`);', 'help.ts': '#' }],
    ['a re-export', { 'a.ts': `export { help } from './help.js';`, 'help.ts': '#' }],
    ['a re-export of everything', { 'a.ts': `export * from './help.js';`, 'help.ts': '#' }],
    ['require', { 'a.js': `require('./help').help();`, 'help.js': '#' }],
    ['import = require', { 'a.ts': `import help = require('./help.js'); help();`, 'help.ts': '#' }],
    [
      'an import of an import',
      { 'a.ts': `import './b.js';`, 'b.ts': `import './c/help.js'`, 'c/help.ts': '#' },
    ],
    ['an .mts file', { 'a.ts': `import './help.js';`, 'help.mts': '#' }],
    ['an .mjs specifier', { 'a.mts': `import './help.mjs';`, 'help.mts': '#' }],
    ['a .ts specifier', { 'a.ts': `import './help.ts';`, 'help.ts': '#' }],
    ['no extension', { 'a.ts': `import './help';`, 'help.ts': '#' }],
    ['no extension, and JavaScript', { 'a.ts': `import './help';`, 'help.js': '#' }],
    ['a dot in the name', { 'a.ts': `import './help.v1';`, 'help.v1.ts': '#' }],
    ['a folder', { 'a.ts': `import './help';`, 'help/index.ts': '#' }],
    ['the folder itself', { 'b/a.ts': `import '..';`, 'index.ts': '#' }],
    [
      'JSON',
      {
        'a.ts': `import data from './data.json' with { type: 'json' }; f(data);`,
        'data.json': '{ "a": "#" }',
      },
    ],
    ['what should be JSON', { 'a.ts': `import './data.json';`, 'data.json': '{ #' }],
    ['another kind of file', { 'a.ts': `import './data.wasm';`, 'data.wasm': '\0asm #' }],
  ])('count: %s', async (_, files) => {
    const withHelp = (help: string) =>
      Object.fromEntries(Object.entries(files).map(([name, text]) => [name, text.replace('#', help)]));

    const [one, same, other] = await Promise.all([
      checksumOf(withHelp('f(1)')),
      checksumOf(withHelp('f(1)')),
      checksumOf(withHelp('f(2)')),
    ]);

    expect(one).toBe(same);
    expect(one).not.toBe(other);
  });

  it.each<[string, Files]>([
    ['as JavaScript', { 'a.js': main, 'utils/help.js': 'export const help = () => 1;' }],
    [
      'without an extension',
      { 'a.ts': main.replace('.js', ''), 'utils/help.ts': 'export const help = () => 1;' },
    ],
    [
      'with the extension of the file',
      { 'a.ts': main.replace('.js', '.ts'), 'utils/help.ts': 'export const help = () => 1;' },
    ],
    [
      'with an import of itself',
      {
        'a.ts': main,
        'utils/help.ts': `import { help as self } from './help.js'; export const help = () => 1;`,
      },
    ],
    ['formatted', { 'a.ts': main, 'utils/help.ts': 'export const help: () => number = ( ) => (1) // one' }],
    [
      'elsewhere',
      { 'a.ts': main.replace('utils', 'tools'), 'tools/help.ts': 'export const help = () => 1;' },
    ],
  ])('are the same %s', async (_, files) => {
    const original = { 'a.ts': main, 'utils/help.ts': 'export const help = () => 1;' };

    expect(await checksumOf(files)).toBe(await checksumOf(original));
  });

  it('may be JSON that was formatted', async () => {
    const a = `import './data.json' with { type: 'json' };`;

    const formatted = await checksumOf({ 'a.ts': a, 'data.json': '{\r\n  "b": [1, null]\r\n}\r\n' });

    expect(formatted).toBe(await checksumOf({ 'a.ts': a, 'data.json': '{"b":[1,null]}' }));
  });

  it('may import each other', async () => {
    const cycle = (value: number) => ({
      'a.ts': `import { b } from './b.js'; export const a = 1; b();`,
      'b.ts': `import { a } from './a.js'; export const b = () => a + ${value};`,
    });

    expect(await checksumOf(cycle(1))).toBe(await checksumOf(cycle(1)));
    expect(await checksumOf(cycle(1))).not.toBe(await checksumOf(cycle(2)));
  });

  it('are told apart when their code is the same', async () => {
    const files = { 'b.ts': 'f()', 'c.ts': 'f()' };

    const twice = await checksumOf({ 'a.ts': `import './b.js'; import './c.js';`, ...files });

    expect(twice).not.toBe(await checksumOf({ 'a.ts': `import './b.js'; import './b.js';`, ...files }));
  });

  it.each<[string, string, string]>([
    ['types', `import type { A } from './b.js'; import { B } from './b.js'; const c: B = 1;`, 'b.ts'],
    [
      'a type that is exported again',
      `export { A } from './b.js'; import { B } from './b.js'; export { B };`,
      'b.ts',
    ],
    ['types through another file', `export { A } from './c.js';`, 'b.ts'],
    [
      'a type that files export in a circle',
      `export { C } from './d.js'; export { A } from './b.js';`,
      'b.ts',
    ],
    ['a package', `import { A } from 'b'; A();`, 'b.ts'],
    ['a comment', `// import './b.js'`, 'b.ts'],
  ])('do not count for %s', async (_, source, changed) => {
    const files = {
      'a.ts': source,
      'b.ts': 'export type A = 1; export interface B {}',
      'c.ts': `export * from './b.js';`,
      'd.ts': `export { C } from './a.js';`,
    };

    expect(await checksumOf(files)).toBe(await checksumOf({ ...files, [changed]: `${files['b.ts']} f()` }));
  });

  it('do not count outside of the folder', async () => {
    const checksumWith = (value: number) =>
      withFolder({ 'in/a.ts': `import '../b.js';`, 'b.ts': `f(${value})` }, (folder) =>
        checksumModule(join(folder, 'in/a.ts'), join(folder, 'in')),
      );

    expect(await checksumWith(1)).toBe(await checksumWith(2));
  });

  it('are named as they are written when they do not exist', async () => {
    const missing = await checksumOf({ 'a.ts': `import { a } from './b.ts'; a()` });

    expect(missing).toBe(await checksumOf({ 'a.js': `import { a } from './b.js'; a()` }));
    expect(missing).not.toBe(await checksumOf({ 'a.js': `import { a } from './c.js'; a()` }));
  });
});
