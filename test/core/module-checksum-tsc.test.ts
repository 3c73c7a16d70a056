import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checksumModule, type Files, writeFiles } from '../support/module-folder.ts';

// TypeScript as people write it; each file is an alteration or a helper that others import.
const sources: Files = {
  'alteration.ts': `
    import { generateId } from '@example/shared';
    import type { Pool } from '@example/sql';
    import { sql } from '@example/sql';

    import type { AlterationScript } from './utils/types.js';
    import { Step, tables } from './utils/tables.js';

    const rows: ReadonlyArray<{ readonly id: string; size?: number }> = [{ id: generateId(), 'size': 1_000 }];

    /** Inserts the rows. */
    const insert = async (pool: Pool, table: (typeof tables)[number]): Promise<void> => {
      for (const { id, size = 0x10 } of rows) {
        // One by one.
        await pool.query(sql\`
          insert into \${sql.identifier([table])} (id, size)
            values (\${id}, \${size!}, '\\\\n');
        \`);
      }
    };

    const alteration: AlterationScript = {
      up: async (pool) => {
        await Promise.all(tables.map(async (table) => insert(pool, table)));
        if ((Step.Last as number) > 1) await pool.query(sql\`select 'it''s "quoted"'\`);
      },
      down: async (pool): Promise<void> => {
        throw new Error('There is no way back.' + String(pool as unknown));
      },
    };

    export default alteration;
  `,
  'utils/types.ts': `
    import type { Pool } from '@example/sql';
    export interface AlterationScript { up: (pool: Pool) => Promise<void>; down?: (pool: Pool) => Promise<void> }
    export type Name = \`\${string}-\${number}\`;
    export type { Pool };
    export default interface Main { a: 1 }
  `,
  'utils/tables.ts': `
    export const tables = ['users', "roles"] as const satisfies readonly string[];
    export enum Step { First, Second, Last = 10 }
    export class Helper { constructor(readonly name: string) {} }
    export function over(a: string): string;
    export function over(a: number): number;
    export function over(a: any) { return a; }
    export type Mixed = Step | Helper;
  `,
  'imports.ts': `
    import * as everything from './utils/tables.js';
    import * as unused from './utils/tables.js';
    import defaultOnlyType, { type AlterationScript, Name } from './utils/types.js';
    import { tables, Helper, over as shadowed, Step } from './utils/tables.js';
    import {} from './utils/tables.js';
    import { type Mixed } from './utils/tables.js';
    import './utils/effect.js';
    import { Local } from './utils/local';
    import { T, v } from './utils/index.js';
    import type * as all from './utils/types.js';

    export { Mixed, Helper as Renamed } from './utils/tables.js';
    export { AlterationScript } from './utils/types.js';
    export { Other, default as Main, Hidden, AlsoHidden } from './utils/local.js';
    export { default as MainType } from './utils/types.js';
    export type { Name } from './utils/types.js';
    export { Local, Helper };
    export { T as Again, v as alsoAgain };
    export * from './utils/types.js';
    export * as types from './utils/types.js';
    export {} from './utils/types.js';
    declare const elsewhere: number;
    export { elsewhere };

    const use = (shadowed: number, Step: number) => ({ shadowed, Step: Step + 1, over: shadowed });
    function hoisted() { return tablesAgain; var tablesAgain: any = tables; }
    const typed: Name | defaultOnlyType | all.Name | typeof unused = null as never;
    const lazily = await import('./utils/tables.js');
    export default { use, typed, hoisted, everything: everything.over(1), script: {} as AlterationScript, lazily };
  `,
  'utils/index.ts': `export * from './deep.js'; export { v } from './deep.js'; export type { Name } from './types.js';`,
  'utils/deep.ts': 'export interface T { a: 1 } export const v = 1;',
  'utils/effect.ts': 'globalThis.toString(); export {};',
  'utils/local.ts': `
    interface Local { a: 1 }
    type Alias = Local;
    export { Local, Alias as Other };
    interface Main {}
    export default Main;
    class Hidden {}
    export type { Hidden };
    export { type Hidden as AlsoHidden };
  `,
  'enums.ts': `
    import { v } from './utils/deep.js';
    const base = 3;
    const next = base + 1;
    const annotated: number = 5;
    const late = (): number => 1;
    enum Plain { A, B, C = 10, D, Negative = -1, Zero }
    enum Bits { None = 0, One = 1 << 0, Two = 1 << 1, Both = One | Two, Not = ~Both, Mask = Both & 0xff ^ 1, Shift = -16 >>> 28, Down = -16 >> 2 }
    enum Arithmetic { A = 7 % 4, B = 2 ** 70, C = 1 / 3, D = (2 + 3) * 4 - 1, E = +1, F = 1 / 0, G = -1 / 0, H = 0 / 0, I = 1.5e3 }
    export enum Text { A = 'a', B = \`b\`, C = \`\${A}-c\${1}\`, D = A + 'x' + 1, E = 'é"\\'\\n', 'quoted-name' = "q" }
    enum Mixed { A = 'a', B = 1, C, D = late(), E = 5, F = D + late(), G = 'abc'.length }
    enum Constants { A = base, B = next, C = annotated, D = Plain.C, E = Plain['D'] + 1, F = Infinity, G = -Infinity, H = NaN, I = v + late() }
    enum Inside { A = 1, B = [1].map((A) => A + C)[0]!, C = late(), D = (() => A + B)(), E = { A, B }.A, F = Inside.C + Inside.A }
    enum toString { valueOf = 1, constructor = valueOf + 1 }
    export enum Merged { A = 1 }
    export enum Merged { B = A + 1, C = Merged.A, D = late() + A }
    enum Empty {}
    class Holder { static { enum Nested { A = Plain.C, B = base } console.log(Nested.A); } }
    const early = () => { enum Nested { A = below } return Nested.A; };
    const below = 4;
    enum Asserted { A = 1 as number, B = (1 + 1) as number }
    declare enum Elsewhere { A = 1 }
    function within(base: number) {
      const next = 'local';
      enum Inner { A = 1, B = A, C = base, D = next as unknown as number }
      { enum Nested { A = Plain.D } console.log(Nested.A); }
      return Inner;
    }
    export default { Plain, Bits, Arithmetic, Text, Mixed, Constants, Inside, Merged, Empty, Asserted, within, toString, Holder, early };
  `,
  'classes.ts': `
    interface Shape { area(): number }
    class Base<T = unknown> { protected static count = 0; value!: T; constructor(public readonly name = 'base') { Base.count++; } }
    abstract class Middle extends (Base as typeof Base)<string> implements Shape {
      abstract readonly size: number;
      abstract accessor: string;
      declare value: string;
      private optional?: number;
      static #hidden = 1;
      readonly #own: number = 2;
      [key: string]: unknown;
      static { this.#hidden++; }
      constructor(private readonly a: number, protected b?: string, public override readonly name: string = 'x', plain = 1) {
        const before = plain;
        super(name);
        console.log(before, this.#own, this.optional);
      }
      abstract area(): number;
      abstract get doubled(): number;
      over(a: string): string;
      over(a: number): number;
      over(a: any): any { return a; }
      get 'quoted'(): number { return 1; }
      set 'quoted'(value: number) {}
      async *many<U>(this: Middle, ...items: U[]): AsyncGenerator<U> { yield* items; }
      has(other: object): other is Middle { return #own in other; }
    }
    class InTry extends Base { constructor(private a: number) { try { super(); } finally { console.log(1); } } x = 1; }
    class NoSuper { later = 1; constructor(public a: number, private b = a) { console.log(a); } static first = 1; }
    class OnlyProperties { constructor(readonly a: string, readonly b: string) {} }
    const expression = class Named extends Base<number> { override value = 1; constructor(private z: number) { super(); this.z = z; } };
    export default class extends Base<string> {}
    export abstract class Exported { private constructor(); private constructor(a?: 1) {} }
    export { Middle, InTry, NoSuper, OnlyProperties, expression };
  `,
  'expressions.ts': `
    interface Deep { a?: { b: { c: number; d?(): number }; list: number[] } }
    declare const o: Deep | undefined;
    declare let loose: any;
    declare function tag<T>(strings: TemplateStringsArray, ...values: T[]): string;
    export const chains = [
      o?.a!.b.c, (o?.a)!.b, (o?.a as any).b, o!.a?.b!.d!(), (o!.a?.b.d as any)?.(), (o!.a!)?.b, (<any>o?.a).b,
      (o?.a satisfies unknown)!.b, o?.a!?.b, (o?.a!).b, (o!.a?.b)!.d?.(), o?.a!.list[0]!.toFixed(),
    ];
    (loose as any) = 1; (<any>loose).a = 2; loose!.a = undefined; [loose!.a] = [1 as any]; ({ x: loose.b as any } = loose);
    for ((loose as any).a of []) {}
    const specific = tag<string>, made = new Map<string, number>([] as const), texts = tag<number>\`\\\\u0041\${1}\`;
    export const literals = [0xff, 0o17, 0b11, 1_000, 1e3, .5, 10_000n, 'a\\u0041\\
b', "it's", \`a\\u0041\${1}\`, String.raw\`a\\u0041\`, /[/"]a+/giu, null, [, 1, ,], -1, (-1 as number) ** 2];
    export const object = {
      'a': 1, b: specific, specific, ['c']: 1, 1: 2, 'd-e': 3, async *gen<T>(x: T) { yield x; }, get q(): number { return 1; },
      __proto__: null, arrow: async <T,>(x: T, { y, 'z': w = 1 }: any = {}): Promise<T> => x, nested: { made, texts },
    };
    const narrow = (x: unknown): x is string => typeof x === 'string';
    function assert(this: void, condition: unknown): asserts condition {}
    let later: number | undefined, definite!: number;
    label: for (let i = 0, j: number = 1; ; i++) { if (i > 3) break label; else continue label; }
    switch (loose as string) { case 'a': { type Inner = 1; break; } default: ; }
    try { assert(narrow(1)); } catch (error: unknown) { throw error as Error; } finally { }
    try { } catch { }
    do { later = 1 } while (false);
    if (loose) definite = later!; else { ; }
    void (async () => { for await (const x of loose as any[]) await (x as Promise<void>); })();
    type Unused = typeof later; interface AlsoUnused { [Symbol.iterator](): unknown }
    export type { Unused }; export type { AlsoUnused as Other };
    namespace OnlyTypes { export type A = 1; export interface B { a: A } }
    declare namespace Ambient { const x: number; }
    declare global { interface ForTests { a: 1 } }
    declare module '@example/sql' { export const a: 1; }
    export default (<T>(x: T) => x) satisfies Function;
    ;
  `,
};

// What tsc only leaves in place when it compiles a file at a time.
const isolated: Files = {
  'utils/kept.ts': 'export const enum Kept { A = 1 }',
  'kept.ts': `
    import { Kept } from './utils/kept.js';
    const enum Own { A = 1, B = A << 2 }
    export default [Kept.A, Own.B];
  `,
};

const ambient = `
  declare module '@example/shared' { export function generateId(): string; }
  declare module '@example/sql' {
    export interface Pool { query(query: string): Promise<void> }
    export const sql: { (strings: TemplateStringsArray, ...values: unknown[]): string; identifier(names: string[]): string };
  }
`;

const { 'imports.ts': _, 'utils/local.ts': __, ...withoutReExports } = sources;
const usual = ['--target', 'es2022', '--module', 'esnext'];

describe.each<[string, readonly string[], Files]>([
  ['with its own defaults', usual, sources],
  ['with other line ends and no comments', [...usual, '--newLine', 'crlf', '--removeComments'], sources],
  [
    'a file at a time, for the newest target',
    ['--target', 'esnext', '--module', 'preserve', '--isolatedModules'],
    { ...withoutReExports, ...isolated },
  ],
])('TypeScript that tsc compiles %s', (_name, options, files) => {
  let root = '';
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'module-checksum-tsc-'));
    await writeFiles(join(root, 'ts'), files);
    await writeFiles(root, { 'ambient.d.ts': ambient });
    await compile(root, options, Object.keys(files));
  }, 60_000);
  afterAll(() => rm(root, { recursive: true, force: true }));

  it.each(Object.keys(files))('keeps the checksum of %s', async (name) => {
    const typescript = await checksumModule(join(root, 'ts', name), join(root, 'ts'));
    const javascript = await checksumModule(join(root, 'js', name.replace(/ts$/, 'js')), join(root, 'js'));

    expect(javascript).toBe(typescript);
  });
});

async function compile(root: string, options: readonly string[], names: readonly string[]): Promise<void> {
  const tsc = join(import.meta.dirname, '../../node_modules/typescript/bin/tsc');
  const always = ['--rootDir', 'ts', '--outDir', 'js', '--moduleResolution', 'bundler', '--types', ''];
  const files = ['ambient.d.ts', ...names.map((name) => join('ts', name))];
  await promisify(execFile)(process.execPath, [tsc, ...always, ...options, ...files], { cwd: root });
}
