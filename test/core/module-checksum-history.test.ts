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
    ['an empty file', '', { 'a.js': '' }],
    ['an alteration', '', { 'a.ts': alteration, 'utils/tables.ts': helper }],
    ['the same in JavaScript', '', { 'a.js': alterationCompiled, 'utils/tables.js': helperCompiled }],
    ['every kind of expression', '', { 'a.ts': expressions }],
    ['every kind of statement', '', { 'a.ts': statements }],
    ['classes', '', { 'a.ts': classes }],
    ['imports and exports', '', { 'a.ts': imports, 'data.json': '{ "a": [1, null] }', 'b.sql': 'select 1' }],
    ['what stays TypeScript', '', { 'a.ts': typeScript }],
  ])('stays what it is: %s', async (_, checksum, files) => {
    expect(await checksumOf(files)).toBe(checksum);
  });
});
