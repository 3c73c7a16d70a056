import { describe, expect, it } from 'vitest';
import { checksumOf, type Files } from '../support/module-folder.ts';

const alteration = `
import type { Pool } from 'slonik';
import { sql } from 'slonik';
import { Kind, tables } from './utils/tables.js';

const alteration = {
  up: async (pool: Pool) => {
    for (const table of tables) {
      await pool.query(sql\`alter table \${sql.identifier([table])} add column kind text default \${Kind.User};\`);
    }
  },
  down: async (pool: Pool) => {
    await Promise.all(tables.map(async (table) => pool.query(sql\`alter table \${sql.identifier([table])} drop column kind;\`)));
  },
};

export default alteration;
`;
const helper = `
export const tables = ['users', 'roles'] as const;
export enum Kind { User = 'user', Machine = 'machine' }
`;
const alterationCompiled = alteration
  .replace(`import type { Pool } from 'slonik';\n`, '')
  .replaceAll('pool: Pool', 'pool');
const helperCompiled = `
export const tables = ['users', 'roles'];
export var Kind;
(function (Kind) { Kind["User"] = "user"; Kind["Machine"] = "machine"; })(Kind || (Kind = {}));
`;
const expressions = `
f(a, 'b', 1, 2n, /c/d, \`e\${f}g\`, h\`i\${j}\\n\`, null, true, false, [k, , ...l], this, -1, 1e21);
({ a, b: 1, 'c-d': 2, [e]: 3, f() {}, get g() { return 1; }, set g(h) {}, async *i() {}, ...j, __proto__: k, 1: l });
(a, b => c, async (d = 1, ...e) => { await d; }, function* f() { yield* g; yield; }, class H extends I {});
a.b?.c[d]?.(e).f; new G(h); new I; a ? b : c; a ?? b; a && b || !c; typeof a; void 0; delete a.b; a++; --b;
a = b; a += 1; a ||= b; [a, b = 1, ...c] = d; ({ a, b: { c }, ...d } = e); a ** b; a in b; a instanceof b;
import('c'); import.meta.url; (function () { return new.target; });`;
const statements = `
var a = 1, b; let c; const { d, e: [f] = [] } = g;
if (a) b(); else { c(); } for (let i = 0; i < 1; i++) continue; for (const x of y); for (var z in w);
while (a) break; do b(); while (a); switch (a) { case 1: b(); break; default: c(); }
label: { break label; } try { throw a; } catch ({ message }) { b(); } finally { c(); } try {} catch {}
function h(i, { j }, k = 1) { return i; } async function l() { for await (const m of n); } debugger;
await a;`;
const classes = `
@a class B extends (C as D)<E> implements F {
  #g = 1; h?: 2; static i: 3 = 3; 'j' = 4; [k] = 5; declare l: 6; accessor m = 7;
  static { this.i = 1; }
  constructor(private n: 1, readonly o = 2) { super(); this.#g = n; }
  get p() { return super.p; } set p(q) {} static async *r<S>(@t u: S) {} #v() { return #g in this; }
}
abstract class W { abstract w(): void; }
enum X { Y, Z = 1 << 3, A = 'a', B = f(Y), C = -Z, D = \`\${A}d\` }`;
const imports = `
#!/usr/bin/env node
'use strict'; 'use asm';
import a, { b as c, type d, unused } from 'e'; import * as f from '../outside.ts'; import './missing.js';
import data from './data.json' with { type: 'json' }; import './b.sql';
export { c, f as 'g h' }; export * from 'i'; export * as j from 'k'; export { l as default } from 'm';
export const [n, { o }] = data; export function p() {} export class Q {}
a();`.trimStart();
const typeScript = `
import a = require('b'); import c = d.e; export = f;
namespace G.H { export const i = 1; export function j() { return i; } }
const enum K { L = 1 } f(K.L, a, c);`;

describe('a checksum that is in a history', () => {
  // These may never change: databases have them. Other rules need another scheme beside this one.
  it.each<[string, string, Files]>([
    [
      'an empty file',
      'module-1:88d19bfa0754ba32ffb2c583cf61af051340ff771acdc02895142a3a8ffb0909',
      { 'a.js': '' },
    ],
    [
      'an alteration',
      'module-1:425bd8f4e6d4a9dcf8fd0b95f1afe7ece8248b0c1c1c31d8be06e42524672c08',
      { 'a.ts': alteration, 'utils/tables.ts': helper },
    ],
    [
      'the same in JavaScript',
      'module-1:425bd8f4e6d4a9dcf8fd0b95f1afe7ece8248b0c1c1c31d8be06e42524672c08',
      { 'a.js': alterationCompiled, 'utils/tables.js': helperCompiled },
    ],
    [
      'every kind of expression',
      'module-1:8df7c8a427de79ee56ff7b928249c7a7b2baeb37e9e86d95f71f0b3f1bd52da9',
      { 'a.ts': expressions },
    ],
    [
      'every kind of statement',
      'module-1:6e3e2f5fb3e66da9791fa98f9751134c3d1e185cf469bc4423ede583bece647b',
      { 'a.ts': statements },
    ],
    [
      'classes',
      'module-1:3863381f53b30d4b50675c988ee4aa449675a47d255d0af2ef3e640d4888fac7',
      { 'a.ts': classes },
    ],
    [
      'imports and exports',
      'module-1:2d1605dbc8344ae78b37fb560f3b46f3fe4e815b1a0f34d54593bedf27529301',
      { 'a.ts': imports, 'data.json': '{ "a": [1, null] }', 'b.sql': 'select 1' },
    ],
    [
      'what stays TypeScript',
      'module-1:200982483cebd19b77d2bde6f419cd81c19f449bcdc1f427a52499d6889ca3ae',
      { 'a.ts': typeScript },
    ],
  ])('stays what it is: %s', async (_, checksum, files) => {
    expect(await checksumOf(files)).toBe(checksum);
  });
});
