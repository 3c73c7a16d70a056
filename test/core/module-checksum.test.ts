import { join } from 'node:path';
import { parse } from '@babel/parser';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UnusableAlterationError } from '../../src/core/errors.ts';
import { checksumModule, checksumOf, withFolder } from '../support/module-folder.ts';

const checksumOfTs = (source: string) => checksumOf({ 'a.ts': source });
const checksumOfJs = (source: string) => checksumOf({ 'a.js': source });

describe('the checksum of a module', () => {
  it('has a scheme with a version and a SHA-256', async () => {
    expect(await checksumOfTs('export default 1')).toMatch(/^module-1:[0-9a-f]{64}$/);
  });

  it('does not depend on the name of the file, nor on how the folder is given', async () => {
    const files = { 'next-1-a.ts': 'export default 1', '1.0.0-1-a.mjs': 'export default 1' };

    const [one, two] = await withFolder(files, (folder) =>
      Promise.all([
        checksumModule(join(folder, 'next-1-a.ts'), folder),
        checksumModule(join(folder, '1.0.0-1-a.mjs'), `${folder}/`),
      ]),
    );

    expect(one).toBe(two);
  });

  it.each([
    ['white space', 'f( 1 ,2 );\n\n\n\tg( )', 'f(1, 2); g();'],
    ['comments', '/** a */ f(/* b */); // c\n', 'f();'],
    ['a shebang', '#!/usr/bin/env node\nf();', 'f();'],
    ['a byte order mark', '\uFEFFf();', 'f();'],
    ['CRLF', 'f();\r\ng();\r\n', 'f();\ng();\n'],
    ['CRLF in a template', 'f(`a\r\nb`);', 'f(`a\nb`);'],
    ['CRLF in a tagged template', 'sql`a\r\nb`;', 'sql`a\nb`;'],
    ['quotes', `f("it's", 'say "a"');`, `f('it\\'s', "say \\"a\\"");`],
    ['escapes in a string', `f('\\u0061\\n')`, `f("a\\x0a")`],
    ['escapes in a template without a tag', 'f(`\\u0061`)', 'f(`a`)'],
    ['trailing commas', 'f(1, [2, 3,], { a, },)', 'f(1, [2, 3], { a })'],
    ['semicolons', 'const a = 1\nf(a)', 'const a = 1; f(a);'],
    ['empty statements', ';f();;', 'f();'],
    ['parentheses that say nothing', '((a) + ((b)))', 'a + b'],
    ['parentheses around a parameter', 'f(a => a)', 'f((a) => a)'],
    ['new without arguments', 'new A', 'new A()'],
    ['how a number is written', 'f(0xFF, 1_000, 1e3, .5, 10n)', 'f(255, 1000, 1000.0, 0.50, 0xAn)'],
    ['quotes around a key', `f({ 'a': 1, "b-c": 2, 1: 3 })`, `f({ a: 1, 'b-c': 2, '1': 3 })`],
    ['quotes around the key of a class', `class A { 'a' = 1; 'b'() {} }`, 'class A { a = 1; b() {} }'],
    ['shorthand properties', 'f({ a: a, b })', 'f({ a, b: b })'],
    ['shorthand patterns', 'const { a: a, b = 1 } = c;', 'const { a, b: b = 1 } = c;'],
    ['a prototype that is a property', 'f({ __proto__ })', `f({ ['__proto__']: __proto__ })`],
    [
      'quotes around the key of an import attribute',
      `import 'x' with { 'type': 'json' }`,
      `import 'x' with { type: 'json' }`,
    ],
    ['quotes around the key of an accessor', `class A { accessor 'a' = 1 }`, 'class A { accessor a = 1 }'],
    ['use strict', `'use strict';\nfunction f() { 'use strict'; }`, 'function f() {}'],
    [
      'the order of names in an import',
      `import { b, a as c } from 'x'; f(b, c)`,
      `import { a as c, b } from 'x'; f(b, c)`,
    ],
    [
      'the order of names in an export',
      'const a = 1, b = 2; export { b, a }',
      'const a = 1, b = 2; export { a, b }',
    ],
    ['how the default import is written', `import { default as a } from 'x'; a()`, `import a from 'x'; a()`],
    [
      'imports that nothing uses',
      `import a, { b } from 'x'; import * as c from 'y'; b()`,
      `import { b } from 'x'; b()`,
    ],
    [
      'imports that only hidden names seem to use',
      `import { a } from 'x'; f((a) => a, { a: 1 }.a)`,
      'f((a) => a, { a: 1 }.a)',
    ],
    ['imports that only meta properties seem to use', `import { meta } from 'x'; import.meta`, 'import.meta'],
    ['an export of nothing', 'f(); export {}', 'f();'],
  ])('does not change with %s', async (_, left, right) => {
    expect(await checksumOfJs(left)).toBe(await checksumOfJs(right));
    expect(await checksumOfTs(left)).toBe(await checksumOfTs(right));
  });

  it.each([
    [
      'annotations',
      'const f = (a: string, b?: A, ...c: B[]): void => {}; let x!: number',
      'const f = (a, b, ...c) => {}; let x',
    ],
    [
      'type parameters and arguments',
      'function f<T extends A = B>() { return g<T>(new C<T>()); }',
      'function f() { return g(new C()); }',
    ],
    ['as, satisfies and !', 'f(a as B, c satisfies D, e!, <F>g, [1] as const)', 'f(a, c, e, g, [1])'],
    [
      'wrappers on the left',
      '(a as any) = 1; b!.c = 2; [d!] = e; for (f! of g);',
      'a = 1; b.c = 2; [d] = e; for (f of g);',
    ],
    [
      'wrappers in an optional chain',
      'a?.b!.c; (d?.e)!.f; g?.[0]!(); (h?.i as any).j',
      'a?.b.c; (d?.e).f; g?.[0](); (h?.i).j',
    ],
    ['instantiation', 'const a = b<string>;', 'const a = b;'],
    ['interfaces and aliases', 'interface A {} type B = A; export interface C {} export type D = B;', ''],
    [
      'declarations of what is elsewhere',
      'declare const a: 1; declare global {} declare module "x" {} export declare function f(): void; declare class B {} declare enum C {}',
      '',
    ],
    [
      'overloads',
      'export function f(a: 1): 1; export function f(a: 2): 2; export function f(a: any) { return a; }',
      'export function f(a) { return a; }',
    ],
    [
      'an overloaded default',
      'export default function f(a: 1): 1; export default function f(a: any) { return a; }',
      'export default function f(a) { return a; }',
    ],
    [
      'abstract classes',
      'abstract class A { abstract a: 1; abstract b(): void; abstract get c(): 1; d = 1; }',
      'class A { d = 1; }',
    ],
    [
      'class modifiers',
      'class A extends B<C> implements D, E { private readonly a = 1; declare b: 1; c?: 1; d!: 1; [k: string]: any; public override e?(): void; protected static f(): 1 {} }',
      'class A extends B { a = 1; c; d; static f() {} }',
    ],
    [
      'this parameters',
      'function f(this: A, b: B) {} f(function (this: A) {}, { g(this: A) {} }); class C { h(this: A) {} #i(this: A) {} }',
      'function f(b) {} f(function () {}, { g() {} }); class C { h() {} #i() {} }',
    ],
    [
      'type-only imports',
      `import type A from 'x'; import type { B } from 'y'; import { type C, d } from 'z'; import type E = require('e'); d()`,
      `import { d } from 'z'; d()`,
    ],
    [
      'imports that only types use',
      `import { A, b } from 'x'; import C from './c.js'; const d: A & C & typeof C = b;`,
      `import { b } from 'x'; const d = b;`,
    ],
    ['an import without names', `import {} from 'x'; import { type A } from 'y'; import 'z'`, `import 'z'`],
    [
      'type-only exports',
      `type A = 1; export type { A }; export { type A as B, c }; export type * from 'x'; export type { D } from 'y'; let c;`,
      'export { c }; let c;',
    ],
    ['exports of local types', 'interface A {} type B = 1; export { A, B }; export default A;', ''],
    ['exports of imported types', `import type { A } from 'x'; export { A };`, ''],
    [
      'exports of what only the types are',
      `import { type A } from 'x'; import type B = require('y'); export { A, B };`,
      '',
    ],
    [
      'types beside values of the same name',
      'interface A {} const A = 1; export { A };',
      'const A = 1; export { A };',
    ],
    ['a declaration beside a type', 'interface A {} declare const A: A; export { A };', 'export { A };'],
    [
      'a value that is exported as a type',
      `import { A } from 'x'; export { type A }; A();`,
      `import { A } from 'x'; A();`,
    ],
    ['a namespace of types', 'namespace A { export type B = 1; namespace C { interface D {} } }', ''],
    ['a namespace export for browsers', 'export as namespace A; f()', 'f()'],
    [
      'assertions and predicates',
      'function f(a: any): asserts a is string {} const g = (b: any): b is 1 => b;',
      'function f(a) {} const g = (b) => b;',
    ],
    [
      'enums, which become what tsc makes of them',
      `export enum A { B, C = B + 2, D = "d", E = f(B), F = \`f\${g}\` }`,
      `export var A; (function (A) {
        A[A["B"] = 0] = "B"; A[A["C"] = 2] = "C"; A["D"] = "d"; A[A["E"] = f(A.B)] = "E"; A["F"] = \`f\${g}\`;
      })(A || (A = {}));`,
    ],
    [
      'enums whose values cannot be told',
      'enum A { B = "b", C, D = "d" + f(), E = 1 + f(), F = -f(), G = +"1", H = A[B], I = f().B, J = A?.B }',
      `var A; (function (A) {
        A["B"] = "b"; A[A["C"] = void 0] = "C"; A["D"] = "d" + f(); A[A["E"] = 1 + f()] = "E"; A[A["F"] = -f()] = "F";
        A[A["G"] = +"1"] = "G"; A[A["H"] = A[A.B]] = "H"; A[A["I"] = f().B] = "I"; A[A["J"] = A?.B] = "J";
      })(A || (A = {}));`,
    ],
    [
      'enums that mention constants which name each other',
      'const a = b, b = a; enum C { D = a }',
      'const a = b, b = a; var C; (function (C) { C[C["D"] = a] = "D"; })(C || (C = {}));',
    ],
    [
      'enums that mention hidden names',
      `const a = 1; const b = () => { try {} catch (a) { enum B { C = a } } };
       f((a) => { enum B { C = a } }, function (a) { enum B { C = a } }, { g({ a }) { enum B { C = a } } });
       f(function a() { enum B { C = a } }); for (let a of b) { enum B { C = a } } for (let a;;) { enum B { C = a } }
       switch (a) { case 1: let a; enum B { C = a } }`,
      `const a = 1; const b = () => { try {} catch (a) { ENUM } };
       f((a) => { ENUM }, function (a) { ENUM }, { g({ a }) { ENUM } });
       f(function a() { ENUM }); for (let a of b) { ENUM } for (let a;;) { ENUM }
       switch (a) { case 1: let a; ENUM }`.replaceAll(
        'ENUM',
        'let B; (function (B) { B[B["C"] = a] = "C"; })(B || (B = {}));',
      ),
    ],
    [
      'parameter properties, which become what tsc makes of them',
      'class A extends B { c = 1; constructor(private d: D, e: E, readonly f = 2) { g(); super(); h(); } }',
      'class A extends B { d; f; c = 1; constructor(d, e, f = 2) { g(); super(); this.d = d; this.f = f; h(); } }',
    ],
  ])('erases %s', async (_, typescript, javascript) => {
    expect(await checksumOfTs(typescript)).toBe(await checksumOfJs(javascript));
  });

  it.each([
    ['a string', `f('a')`, `f('b')`],
    ['a number', 'f(1)', 'f(2)'],
    ['a number and a string', 'f(1)', `f('1')`],
    ['a big integer', 'f(1n)', 'f(1)'],
    ['white space in a template', 'sql`select 1`', 'sql`select  1`'],
    ['a line end in a template', 'f(`a\nb`)', 'f(`a b`)'],
    ['an escape that a tag can see', 'sql`\\n`', 'sql`\n`'],
    ['a regular expression', 'f(/a/)', 'f(/a/i)'],
    ['a name', 'const a = 1', 'const b = 1'],
    ['an operator', 'a + b', 'a - b'],
    ['precedence', '(a + b) * c', 'a + b * c'],
    ['associativity', 'a - (b - c)', 'a - b - c'],
    ['before and after', '++a', 'a++'],
    ['the order of statements', 'f(); g();', 'g(); f();'],
    ['the order of properties', 'f({ a, b })', 'f({ b, a })'],
    ['a statement more', 'f();', 'f(); f();'],
    ['await', 'async () => { await f() }', 'async () => { f() }'],
    ['async', 'async () => {}', '() => {}'],
    ['a generator', 'function* f() {}', 'function f() {}'],
    ['for await', 'async () => { for await (const a of b); }', 'async () => { for (const a of b); }'],
    ['of and in', 'for (const a of b);', 'for (const a in b);'],
    ['the kind of a variable', 'let a', 'var a'],
    ['an initial value', 'let a', 'let a = undefined'],
    ['null and nothing', 'f(null)', 'f()'],
    ['true and false', 'f(true)', 'f(false)'],
    ['a hole in an array', 'f([,])', 'f([])'],
    ['the end of an optional chain', 'a?.b.c', '(a?.b).c'],
    ['an optional step', 'a?.b', 'a.b'],
    ['an optional call', 'a?.()', 'a()'],
    ['an optional step that is not the first', 'a?.b?.c', 'a?.b.c'],
    ['an optional call that is not the first', 'a?.b?.()', 'a?.b()'],
    ['a text that looks like a path', `f('./a.js')`, `f('./a.ts')`],
    ['what is required', 'require(a)', 'require(b)'],
    ['what else is given to require', `require('a', b)`, `require('a')`],
    ['what is imported by a name', 'import(a)', 'import(b)'],
    ['what is imported by a template', `import(\`./\${a}.js\`)`, `import(\`./\${b}.js\`)`],
    ['new', 'new A()', 'A()'],
    ['spread', 'f(...a)', 'f(a)'],
    ['a computed key', 'f({ [a]: 1 })', 'f({ a: 1 })'],
    ['a computed member', 'a[b]', 'a.b'],
    ['a getter', 'f({ get a() {} })', 'f({ a() {} })'],
    ['the prototype', 'f({ __proto__ })', 'f({ __proto__: __proto__ })'],
    ['static', 'class A { static a() {} }', 'class A { a() {} }'],
    ['a private name', 'class A { #a = 1 }', 'class A { a = 1 }'],
    ['a field without a value', 'class A { a }', 'class A {}'],
    ['a super class', 'class A extends B {}', 'class A {}'],
    ['a label', 'a: for (;;) { b: for (;;) break a }', 'a: for (;;) { b: for (;;) break b }'],
    ['an empty body', 'if (a); f()', 'if (a) f()'],
    ['a directive', `'use asm'`, ''],
    ['where an import comes from', `import { a } from 'x'; a()`, `import { a } from 'y'; a()`],
    ['what is imported', `import { a } from 'x'; a()`, `import { b as a } from 'x'; a()`],
    ['a namespace import', `import * as a from 'x'; a()`, `import a from 'x'; a()`],
    ['an import for its effect', `import 'x'`, ''],
    ['the order of imports', `import 'x'; import 'y'`, `import 'y'; import 'x'`],
    ['import attributes', `import a from 'x' with { type: 'json' }; a()`, `import a from 'x'; a()`],
    ['an exported name', 'let a; export { a }', 'let a; export { a as b }'],
    ['the default export', 'export default f', 'export { f }; let f'],
    ['export of everything', `export * from 'x'`, `export * as x from 'x'`],
    ['a dynamic import', `import('x')`, `import('y')`],
    ['import.meta', 'f(import.meta)', 'f(import.meta.url)'],
    ['a file outside of the folder', `import { a } from '../a.js'; a()`, `import { a } from '../b.js'; a()`],
  ])('changes with %s', async (_, left, right) => {
    expect(await checksumOfJs(left)).not.toBe(await checksumOfJs(right));
    expect(await checksumOfTs(left)).not.toBe(await checksumOfTs(right));
  });

  it.each([
    ['the value of an enum', 'enum A { B = 1 }', 'enum A { B = 2 }'],
    ['a name of an enum', 'enum A { B }', 'enum A { C }'],
    ['the constant that an enum mentions', 'const a = 1; enum B { C = a }', 'const a = 2; enum B { C = a }'],
    ['a parameter property', 'class A { constructor(private a: 1) {} }', 'class A { constructor(a: 1) {} }'],
    ['the values of a namespace', 'namespace A { export const b = 1 }', 'namespace A { export const b = 2 }'],
    ['import = require', `import a = require('x'); a()`, `import a = require('y'); a()`],
    ['export =', 'export = a', 'export = b'],
    ['a decorator', '@a class B {}', '@b class B {}'],
    [
      'a decorated parameter',
      'class A { constructor(@b private c: 1) {} }',
      'class A { constructor(private c: 1) {} }',
    ],
    ['an accessor', 'class A { accessor b = 1 }', 'class A { b = 1 }'],
  ])('changes with %s', async (_, left, right) => {
    expect(await checksumOfTs(left)).not.toBe(await checksumOfTs(right));
  });
});

describe('a module that cannot be read', () => {
  it('is named with the place of its syntax error', async () => {
    const failure = checksumOfTs('\uFEFFconst a = 1;\r\n\tconst b: = 2;\r\n');

    await expect(failure).rejects.toBeInstanceOf(UnusableAlterationError);
    await expect(failure).rejects.toMatchObject({
      message: '"a.ts" is not valid TypeScript: Unexpected token.',
      problems: [
        {
          file: 'a.ts',
          line: 2,
          column: 11,
          message: '"a.ts" is not valid TypeScript: Unexpected token.',
          excerpt: '1 | const a = 1;\n2 | \tconst b: = 2;\n  | \t         ^',
        },
      ],
    });
  });

  it('is the file it imports, when the error is there', async () => {
    await expect(
      checksumOf({ 'a.ts': `import './b/c.js'`, 'b/c.js': 'const a: string = 1' }),
    ).rejects.toMatchObject({
      message: expect.stringContaining('"b/c.js" is not valid JavaScript'),
      problems: [{ file: 'b/c.js', line: 1, column: 8 }],
    });
  });

  it.each([
    ['a semicolon is missing', 'let a = 1 b'],
    ['a name is declared twice', 'const a = 1; const a = 2;'],
    ['a bracket is open', 'f('],
    ['the file is TypeScript by mistake', 'export default = 1'],
  ])('is refused: %s', async (_, source) => {
    await expect(checksumOfTs(source)).rejects.toBeInstanceOf(UnusableAlterationError);
  });

  it('is named when it is nested too deeply', async () => {
    await expect(checksumOfTs(Array(20_000).fill('a').join(' + '))).rejects.toMatchObject({
      code: 'alteration-unusable',
      message: '"a.ts" is nested too deeply: split its longest expression.',
    });
  });

  it('is named when it is not there', async () => {
    await expect(checksumModule('/nowhere/a.ts', '/nowhere')).rejects.toMatchObject({
      message: expect.stringMatching(/^"a\.ts" cannot be read: /),
    });
  });

  it.each([
    ['CommonJS', `const a = require('b'); exports.default = a; return;`],
    ['await at the top', 'await f();'],
  ])('is not JavaScript of another kind: %s', async (_, source) => {
    await expect(checksumOfJs(source)).resolves.toMatch(/^module-1:/);
  });
});

describe('formatting', () => {
  const source = `import { sql } from 'slonik';
    /** What it does. */
    enum State { Active = 'active', Gone = 1 << 2 }
    const rows: readonly [number, string?][] = [[0x10, 'it\\'s'], [2e3]];
    class Store<T> extends Base implements Other { constructor(private readonly pool: Pool) { super(); this.#a = 1; } #a = 2; }
    export default {
      up: async (pool: Pool) => {
        for (const [id, name = \`none \${State.Active}\`] of rows as any) {
          if (id > 3 && !name?.length) { await pool.query(sql\`update a set b = \${name} where c = \${id};\`); }
          else { pool!.skip({ id, 'name': name, [id]: /a+/gi }); }
        }
      },
      down: async () => { throw new Error("no way"); },
    } satisfies AlterationScript;`;
  const boundaries = tokenStarts(source);
  const blank = fc.constantFrom(' ', '\t', '  ', '/* ; */', '/**/ ', ' /* ` */');
  const lineEnd = fc.constantFrom('\n', '\r\n', '\n\n', ' // a\n', '/*\n*/');

  it('never changes the checksum, wherever blanks and comments are put', async () => {
    const original = await checksumOfTs(source);
    // A line end may stand in for a semicolon, or break a statement: it goes where it can do neither.
    const insertion = fc
      .constantFrom(...boundaries)
      .chain((at) => fc.tuple(fc.constant(at), /[;{,(]\s*$/.test(source.slice(0, at)) ? lineEnd : blank));
    const insertions = fc.uniqueArray(insertion, { selector: ([at]) => at, maxLength: 40 });

    await fc.assert(
      fc.asyncProperty(insertions, async (inserted) => {
        const fromTheEnd = inserted.toSorted(([left], [right]) => right - left);
        const changed = fromTheEnd.reduce(
          (text, [at, trivia]) => text.slice(0, at) + trivia + text.slice(at),
          source,
        );
        expect(await checksumOfTs(changed), changed).toBe(original);
      }),
      { numRuns: 60 },
    );
  });

  it('is all that may change: every word and number counts', async () => {
    const plain = `import { sql } from 'slonik';
      const rows = [[0x10, 'no way'], [2e3]];
      class Store extends Base { constructor(pool) { super(); this.#a = pool; } #a = 2; }
      export default {
        up: async (pool) => {
          for (const [id, name = \`none \${Store}\`] of rows) {
            if (id > 3 && !name?.length) await pool.query(sql\`update a set b = \${name}\`);
            else pool.skip({ id, 'name': name, [id]: /a+/gi });
          }
        },
      };`;
    const original = await checksumOfJs(plain);

    for (const { index, 0: word } of plain.matchAll(/\w+/g)) {
      const changed = `${plain.slice(0, index)}${word}7${plain.slice(index + word.length)}`;
      const checksum = await checksumOfJs(changed).catch((error: unknown) => error);
      expect(checksum, `"${word}" at ${index}`).not.toBe(original);
    }
  });
});

/** Where a blank or a comment may stand: templates are one token up to the next substitution. */
function tokenStarts(source: string): readonly number[] {
  const { tokens } = parse(source, { sourceType: 'module', plugins: ['typescript'], tokens: true });
  return (tokens ?? []).flatMap(({ type, start }) => (typeof type === 'string' ? [] : [Number(start)]));
}
