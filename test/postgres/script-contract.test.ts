import { readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { NotFoundError } from 'slonik';
import { beforeEach, describe, expect, test } from 'vitest';
import type { DeployOptions } from '../../src/index.ts';
import { startCli } from '../support/cli.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder, writeFiles } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { moduleText } from '../support/module-text.ts';

const { check, deploy, logtoRows, AlterationFailedError, UnusableAlterationError } = library;
const database = await createDatabase();
const { query, url } = database;

beforeEach(() => emptyDatabase(database));

type Files = Readonly<Record<string, string>>;

async function deployFiles(files: Files, options: Partial<DeployOptions> = {}) {
  return deploy({ database: url, folder: await createFolder(files), ...options });
}

/** Deploys one script that leaves what it found in the table `found`, and reads it. */
async function findings(body: string, options?: Partial<DeployOptions>, imports?: string): Promise<unknown> {
  const up = `await connection.query(sql.unsafe\`create table found (value jsonb)\`);
const found = await (async () => {\n${body}\n})();
await connection.query(sql.unsafe\`insert into found values (\${sql.jsonb(found)})\`);`;
  await deployFiles({ '1.0.0-1-find.ts': moduleText(up, imports) }, options);
  const rows = await query<{ value: unknown }>('select value from found');
  return rows[0]?.value;
}

async function appliedIds(): Promise<string[]> {
  const rows = await query<{ timestamp: string }>(
    'select "timestamp" from public.alteration_history order by 1',
  );
  return rows.map(({ timestamp }) => timestamp);
}

async function existing(name: string): Promise<boolean> {
  const rows = await query<{ found: boolean }>('select to_regclass($1) is not null as found', [name]);
  return rows[0]?.found ?? false;
}

describe('a query is written with the sql tag of', () => {
  test.each([
    ['slonik30', 'sql', 'sql'],
    ['@silverhand/slonik', 'sql', 'sql'],
    ['slonik33', 'sql.unsafe', 'sql.fragment'],
    ['slonik', 'sql.unsafe', 'sql.fragment'],
  ])('%s', async (name, tag, fragment) => {
    const body = `
      const table = sql.identifier(['public', 'Odd "things"']);
      const columns = ['id', 'tags', 'data'].map((column) => sql.identifier([column]));
      await connection.query(${tag}\`create table \${table} (id int, tags text[], data jsonb, at timestamptz)\`);
      await connection.query(${tag}\`
        insert into \${table} (\${sql.join(columns, ${fragment}\`, \`)})
        select id, \${sql.array(['x', 'y'], 'text')}, \${sql.jsonb({ deep: [1, '$1'] })}
        from \${sql.unnest([[1, 'one'], [2, 'two']], ['int4', 'text'])} as source (id, label)
        where \${sql.join([${fragment}\`label <> \${'none'}\`, ${fragment}\`id < \${3}\`], ${fragment}\` and \`)}
      \`);
      await connection.query(${tag}\`update \${table} set at = \${sql.timestamp(new Date(0))} where id = \${2} and \${sql.literalValue("it's")} <> ''\`);`;

    await deployFiles({ '1.0.0-1-write.ts': moduleText(body, `import { sql } from '${name}';`) });

    expect(await query('select * from "Odd ""things""" order by id')).toEqual([
      { id: 1, tags: ['x', 'y'], data: { deep: [1, '$1'] }, at: null },
      { id: 2, tags: ['x', 'y'], data: { deep: [1, '$1'] }, at: new Date(0) },
    ]);
  });

  test.each(['slonik30', 'slonik33', 'slonik'])('%s, with a schema for its rows', async (name) => {
    const body = `return connection.one(typed(z.object({ sum: z.number() }))\`select \${1}::int + 1 as sum\`);`;
    const imports = `import { sql } from 'slonik';
      import { sql as other } from '${name}';
      import { z } from 'zod';
      const typed = other.type;`;

    expect(await findings(body, {}, imports)).toEqual({ sum: 2 });
  });

  test('@silverhand/slonik, with raw fragments', async () => {
    const body = `
      await connection.query(sql\`create table things (name text)\`);
      await connection.query(sql\`create index \${sql.raw('things_lower_name')} on things (\${sql.raw('lower(name)')})\`);
      await connection.query(sql.raw("insert into things values ('a;b')"));`;

    await deployFiles({ '1.0.0-1-raw.ts': moduleText(body, `import { sql } from '@silverhand/slonik';`) });

    expect(await existing('things_lower_name')).toBe(true);
    expect(await query('select * from things')).toEqual([{ name: 'a;b' }]);
  });

  test('nobody: what it got is said', async () => {
    const deploying = deployFiles({ '1.0.0-1-plain.ts': moduleText(`await connection.query('select 1');`) });

    await expect(deploying).rejects.toThrow(/"1\.0\.0-1-plain\.ts" failed: .*sql tag.*found a string/);
  });
});

describe('several statements in one query', () => {
  const tags = [
    ['slonik30', 'sql'],
    ['@silverhand/slonik', 'sql'],
    ['slonik33', 'sql.unsafe'],
    ['slonik', 'sql.unsafe'],
  ];

  test.each(tags)('run in order, with the tag of %s', async (name, tag) => {
    const body = `await connection.query(${tag}\`
      create table things (name text); -- not; here
      insert into things values ('a;b');
      create function label() returns text language plpgsql as $$ begin return 'c;d'; end $$;
      insert into things values (label());
    \`);`;

    await deployFiles({ '1.0.0-1-several.ts': moduleText(body, `import { sql } from '${name}';`) });

    expect(await query('select * from things order by 1')).toEqual([{ name: 'a;b' }, { name: 'c;d' }]);
  });

  test('return the result of the last one', async () => {
    const body = `
      const { rows, rowCount } = await connection.query(sql.unsafe\`create table t (id int); insert into t values (1), (2); select id from t order by id\`);
      const one = await connection.oneFirst(sql.unsafe\`select 3; select 4;\`);
      return { rows, rowCount, one };`;

    expect(await findings(body)).toEqual({ rows: [{ id: 1 }, { id: 2 }], rowCount: 2, one: 4 });
  });

  test('end at the first that fails', async () => {
    const body =
      'await connection.query(sql.unsafe`create table t (id int); select 1/0; create table u (id int)`);';

    const error = await failureOf(deployFiles({ '1.0.0-1-several.ts': moduleText(body) }));

    expect(error).toMatchObject({ database: { sqlState: '22012', statement: 'select 1/0' } });
    expect(await existing('t')).toBe(false);
  });

  test('run outside a transaction in beforeUp', async () => {
    const text = `import { sql } from 'slonik';
      export default {
        beforeUp: async (connection) => {
          await connection.query(sql.unsafe\`drop index concurrently if exists t_id; create index concurrently t_id on t (id);\`);
        },
        up: async () => {},
      };`;

    await deployFiles({ '1.0.0-1-create.sql': 'create table t (id int);', '1.0.0-2-index.ts': text });

    expect(await query(`select indisvalid from pg_index where indexrelid = 't_id'::regclass`)).toEqual([
      { indisvalid: true },
    ]);
  });
});

describe('parallel queries', () => {
  const createTable = { '1.0.0-1-create.sql': 'create table t (id int);' };

  test('share the transaction and keep their results apart', async () => {
    const body = `
      const ids = [1, 2, 3, 4, 5, 6, 7, 8];
      return Promise.all(ids.map((id) => connection.oneFirst(sql.unsafe\`select \${id}::int\`)));`;

    expect(await findings(body)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test.each([
    ['one of them fails', 'connection.query(sql.unsafe`select 1/0`)', 'division by zero'],
    ['something beside them fails', `Promise.reject(new Error('beside'))`, 'beside'],
  ])('do not run behind the rollback when %s', async (_, failing, message) => {
    const body = `
      const insert = (id) => connection.query(sql.unsafe\`insert into t values (\${id})\`);
      await Promise.all([
        insert(1),
        connection.query(sql.unsafe\`select pg_sleep(0.1)\`),
        ${failing},
        ...Array.from({ length: 20 }, (_, index) => insert(index + 2)),
      ]);`;

    const error = await failureOf(deployFiles({ ...createTable, '1.0.0-2-insert.ts': moduleText(body) }));

    expect(error).toMatchObject({ message: expect.stringContaining(message) });
    expect(await query('select count(*)::int from t')).toEqual([{ count: 0 }]);
    expect(await appliedIds()).toEqual(['1']);
  });

  test('do not run behind the rollback of a nested transaction', async () => {
    const body = `
      const nesting = connection.transaction((nested) =>
        Promise.all([
          nested.query(sql.unsafe\`select pg_sleep(0.1)\`),
          Promise.reject(new Error('beside')),
          ...[1, 2, 3].map((id) => nested.query(sql.unsafe\`insert into t values (\${id})\`)),
        ]),
      );
      await nesting.catch(() => undefined);
      await connection.query(sql.unsafe\`insert into t values (4)\`);`;

    await deployFiles({ ...createTable, '1.0.0-2-insert.ts': moduleText(body) });

    expect(await query('select id from t')).toEqual([{ id: 4 }]);
  });
});

describe('a query that nobody awaits', () => {
  test('is done before the alteration ends', async () => {
    const body = `
      connection.query(sql.unsafe\`create table t (id int)\`);
      connection.query(sql.unsafe\`select pg_sleep(0.1)\`).then(() => {
        connection.transaction(async (nested) => { nested.query(sql.unsafe\`insert into t values (1)\`); })
          .then(() => connection.query(sql.unsafe\`insert into t values (2)\`));
      });`;

    await deployFiles({ '1.0.0-1-float.ts': moduleText(body) });

    expect(await query('select id from t order by id')).toEqual([{ id: 1 }, { id: 2 }]);
  });

  test('fails the alteration when it fails', async () => {
    const body = `
      await connection.query(sql.unsafe\`create table t (id int)\`);
      connection.query(sql.unsafe\`select 1/0\`);`;
    const folder = await createFolder({ '1.0.0-1-float.ts': moduleText(body) });

    const { exitCode, stderr } = await startCli(['deploy', '--dir', folder], { env: { DB_URL: url } }).result;

    expect({ exitCode, stderr }).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('division by zero'),
    });
    expect(await existing('t')).toBe(false);
  });

  test('is refused once the alteration is over', async () => {
    const keep = moduleText('globalThis.keptConnection = connection;', '');
    const use = `return globalThis.keptConnection.query(sql.unsafe\`select 1\`).catch((error) => error.message);`;
    const up = `await connection.query(sql.unsafe\`create table found (value text)\`);
      const value = await (async () => { ${use} })();
      await connection.query(sql.unsafe\`insert into found values (\${value})\`);`;

    await deployFiles({ '1.0.0-1-keep.ts': keep, '1.0.0-2-use.ts': moduleText(up) });

    expect(await query('select value from found')).toEqual([
      { value: 'The alteration is over, and its connection with it; await every query.' },
    ]);
  });
});

describe('a nested transaction', () => {
  const insert = (on: string, id: number) => `await ${on}.query(sql.unsafe\`insert into t values (${id})\`);`;
  const create = 'await connection.query(sql.unsafe`create table t (id int)`);';

  test('returns what its function returns', async () => {
    const body = `
      return connection.transaction((nested) =>
        nested.transaction((deeper) => deeper.oneFirst(sql.unsafe\`select 'deep'\`)),
      );`;

    expect(await findings(body)).toBe('deep');
  });

  test('that fails and is caught takes only its own work back', async () => {
    const body = `${create} ${insert('connection', 1)}
      await connection.transaction(async (nested) => {
        ${insert('nested', 2)}
        await nested.query(sql.unsafe\`select 1/0\`);
      }).catch(() => undefined);
      await connection.transaction(async (nested) => {
        ${insert('nested', 3)}
        await nested.transaction(async (deeper) => { ${insert('deeper', 4)} throw new Error('no'); }).catch(() => undefined);
      });
      ${insert('connection', 5)}`;

    await deployFiles({ '1.0.0-1-nest.ts': moduleText(body) });

    expect(await query('select id from t order by id')).toEqual([{ id: 1 }, { id: 3 }, { id: 5 }]);
  });

  test('that fails and is not caught takes everything back', async () => {
    const body = `${create}
      await connection.transaction(async (nested) => { ${insert('nested', 1)} throw new Error('not today'); });`;

    const error = await failureOf(deployFiles({ '1.0.0-1-nest.ts': moduleText(body) }));

    expect(error).toBeInstanceOf(AlterationFailedError);
    expect(error).toMatchObject({ message: '"1.0.0-1-nest.ts" failed: not today.' });
    expect(await existing('t')).toBe(false);
  });

  test('in beforeUp is a transaction, and the rest is none', async () => {
    const text = `import { sql } from 'slonik';
      export default {
        beforeUp: async (connection) => {
          ${create} ${insert('connection', 1)}
          await connection.transaction(async (nested) => { ${insert('nested', 2)} throw new Error('no'); });
        },
        up: async () => {},
      };`;

    const error = await failureOf(deployFiles({ '1.0.0-1-nest.ts': text }));

    expect(error).toMatchObject({ code: 'alteration-half-done', phase: 'beforeUp' });
    expect(await query('select id from t')).toEqual([{ id: 1 }]);
  });
});

describe("a connection's methods", () => {
  test('are the ones of slonik', async () => {
    const body = `
      const rows = sql.unsafe\`select n, n * 2 as double from generate_series(1, 2) as n order by n\`;
      const numbers = sql.unsafe\`select n from generate_series(1, 2) as n order by n\`;
      const row = sql.unsafe\`select 1 as n\`;
      const none = sql.unsafe\`select 1 as n where false\`;
      const { rowCount, command, fields } = await connection.query(rows);
      return {
        query: { rowCount, command, fields: fields.map(({ name }) => name) },
        any: [await connection.any(rows), await connection.any(none)],
        anyFirst: [await connection.anyFirst(numbers), await connection.anyFirst(none)],
        exists: [await connection.exists(row), await connection.exists(none)],
        many: await connection.many(rows),
        manyFirst: await connection.manyFirst(numbers),
        maybeOne: [await connection.maybeOne(row), await connection.maybeOne(none)],
        maybeOneFirst: [await connection.maybeOneFirst(row), await connection.maybeOneFirst(none)],
        one: await connection.one(row),
        oneFirst: await connection.oneFirst(row),
      };`;

    expect(await findings(body)).toEqual({
      query: { rowCount: 2, command: 'SELECT', fields: ['n', 'double'] },
      any: [
        [
          { n: 1, double: 2 },
          { n: 2, double: 4 },
        ],
        [],
      ],
      anyFirst: [[1, 2], []],
      exists: [true, false],
      many: [
        { n: 1, double: 2 },
        { n: 2, double: 4 },
      ],
      manyFirst: [1, 2],
      maybeOne: [{ n: 1 }, null],
      maybeOneFirst: [1, null],
      one: { n: 1 },
      oneFirst: 1,
    });
  });

  test('can be called without the connection', async () => {
    const body = `const { oneFirst, transaction } = connection;
      return [await oneFirst(sql.unsafe\`select 1\`), await transaction(({ oneFirst: first }) => first(sql.unsafe\`select 2\`))];`;

    expect(await findings(body)).toEqual([1, 2]);
  });

  test('fail the alteration when the rows are not those that were asked for', async () => {
    const body = 'await connection.one(sql.unsafe`select 1 where false`);';

    const error = await failureOf(deployFiles({ '1.0.0-1-one.ts': moduleText(body) }));

    expect(error).toMatchObject({
      code: 'alteration-failed',
      place: { line: 3 },
    });
    expect(error).toHaveProperty('cause', expect.any(NotFoundError));
  });
});

describe('rows', () => {
  const body = `
    await connection.query(sql.unsafe\`create table things (tenant_id text, last_seen_at2 int8, "Odd_name" int8[])\`);
    await connection.query(sql.unsafe\`insert into things values ('t', 9007199254740991, '{1,2}')\`);
    const row = await connection.one(sql.unsafe\`select * from things\`);
    const total = await connection.oneFirst(sql.unsafe\`select count(*) from things\`);
    return { names: Object.keys(row), types: Object.values(row).flat().map((value) => typeof value), total: String(total) };`;

  test('are those of slonik 49', async () => {
    expect(await findings(body)).toEqual({
      names: ['tenant_id', 'last_seen_at2', 'Odd_name'],
      types: ['string', 'bigint', 'bigint', 'bigint'],
      total: '1',
    });
  });

  test('have camelCase names and plain numbers with the preset for scripts of Logto', async () => {
    expect(await findings(body, { rows: logtoRows })).toEqual({
      names: ['tenantId', 'lastSeenAt2', 'Odd_name'],
      types: ['string', 'number', 'number', 'number'],
      total: '1',
    });
  });

  test("go through the caller's interceptors and type parsers", async () => {
    const rows = {
      interceptors: [
        {
          name: 'count-columns',
          transformRow: (_context: unknown, _query: unknown, row: object) => ({
            ...row,
            columns: Object.keys(row).length,
          }),
        },
      ],
      typeParsers: [{ name: 'jsonb', parse: (value: string) => `<${value}>` }],
    };

    const found = await findings(`return connection.one(sql.unsafe\`select '{}'::jsonb as a\`);`, { rows });

    expect(found).toEqual({ a: '<{}>', columns: 1 });
    expect(await appliedIds()).toEqual(['1']);
  });
});

describe('TypeScript as people write it', () => {
  const createFrom = (value: string) =>
    `await connection.query(sql.unsafe\`create table \${sql.identifier([${value}])} (id int)\`);`;

  test.each([
    ['an enum', `enum Name { Table = 'made' }`, 'Name.Table'],
    ['a const enum', `const enum Name { Table = 'made' }`, 'Name.Table'],
    ['a namespace', `namespace Name { export const table = 'made'; }`, 'Name.table'],
    [
      'a parameter property',
      'class Name { constructor(readonly table: string) {} }',
      `new Name('made').table`,
    ],
    [
      'satisfies, as and !',
      `const name = { table: 'made' } satisfies Record<string, string>;`,
      '(name as any)!.table',
    ],
    ['a generic arrow function', 'const same = <T,>(value: T): T => value;', `same<string>('made')`],
  ])('may have %s', async (_, declaration, value) => {
    const text = moduleText(createFrom(value), `import { sql } from 'slonik';\n${declaration}`);

    await deployFiles({ '1.0.0-1-make.ts': text });

    expect(await existing('made')).toBe(true);
  });

  test.each([
    ['.js for a file .ts', './utils/name.js', 'utils/name.ts'],
    ['.ts', './utils/name.ts', 'utils/name.ts'],
    ['.mjs for a file .mts', './utils/name.mjs', 'utils/name.mts'],
    ['no extension', './utils/name', 'utils/name.ts'],
    ['the folder of an index', './utils', 'utils/index.ts'],
  ])('imports helpers by %s', async (_, specifier, file) => {
    const imports = `import { sql } from 'slonik';\nimport { table } from '${specifier}';`;

    await deployFiles({
      '1.0.0-1-make.ts': moduleText(createFrom('table'), imports),
      [file]: `export const table: string = 'made';`,
    });

    expect(await existing('made')).toBe(true);
  });

  test.each([
    ['import type', `import type { Name } from 'not-installed';`],
    ['an import of a type', `import { type Name } from 'not-installed';`],
    ['a plain import that is used as a type', `import { Name } from 'not-installed';`],
    [
      'a plain import of a missing file that is used as a type',
      `import { Name } from '../lib/types/name.js';`,
    ],
  ])('has %s of what is not there', async (_, imported) => {
    const imports = `import { sql } from 'slonik';\n${imported}\nconst name: Name = 'made';`;

    await deployFiles({ '1.0.0-1-make.ts': moduleText(createFrom('name'), imports) });

    expect(await existing('made')).toBe(true);
  });

  test.each([['{ "type": "commonjs" }'], ['{ "type": "module" }'], ['{}'], [undefined]])(
    'stands beside the package.json %s, and Node warns of nothing',
    async (content) => {
      const warnings: string[] = [];
      const hear = ({ message }: Error) => warnings.push(message);
      process.on('warning', hear);

      const folder = await createFolder({
        '1.0.0-1-make.ts': moduleText(
          createFrom('table'),
          `import { sql } from 'slonik';\nimport { table } from './utils/name.js';`,
        ),
        'utils/name.ts': `export const table: string = 'made';`,
      });
      const path = join(dirname(folder), 'package.json');
      await (content === undefined ? rm(path) : writeFile(path, content));

      await deploy({ database: url, folder });
      process.off('warning', hear);

      expect(await existing('made')).toBe(true);
      expect(warnings).toEqual([]);
    },
  );

  test('tells the place of an error in its own lines', async () => {
    const text = `import { sql } from 'slonik';
enum Name { Table = 'made' }
export default {
  up: async (connection) => {
    await connection.query(sql.unsafe\`create table \${sql.identifier([Name.Table])} ()\`);
    throw new Error('here');
  },
};`;

    const error = await failureOf(deployFiles({ '1.0.0-1-make.ts': text }));

    expect(error).toMatchObject({ place: { file: '1.0.0-1-make.ts', line: 6 } });
  });
});

describe('an alteration may be', () => {
  const create = 'await connection.query(sql.unsafe`create table made (id int)`);';

  test.each(['.ts', '.mts', '.js', '.mjs'])('a module %s', async (extension) => {
    await deployFiles({ [`1.0.0-1-make${extension}`]: moduleText(create) });

    expect(await existing('made')).toBe(true);
  });

  test('a module that awaits at its top, as does what it imports', async () => {
    await deployFiles({
      '1.0.0-1-make.ts': moduleText(
        create,
        `import { sql } from 'slonik';\nimport './utils/later.mjs';\nawait 1;`,
      ),
      'utils/later.mjs': 'await new Promise((resolve) => setTimeout(resolve, 1));',
    });

    expect(await existing('made')).toBe(true);
  });

  test.each(['{ "type": "commonjs" }', '{}'])(
    'a .js compiled to CommonJS beside the package.json %s',
    async (content) => {
      const folder = await createFolder({
        '1.0.0-1-make.js': `"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
const slonik_1 = require("slonik");
const name_js_1 = require("./utils/name.js");
const alteration = {
    up: async (connection) => {
        await connection.query(slonik_1.sql.unsafe \`create table \${slonik_1.sql.identifier([name_js_1.table])} (id int)\`);
    },
};
exports.default = alteration;
`,
        'utils/name.js': `"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.table = "made";
`,
      });
      await writeFile(join(dirname(folder), 'package.json'), content);

      await deploy({ database: url, folder });

      expect(await existing('made')).toBe(true);
    },
  );

  test('nothing of what else is in the folder', async () => {
    const report = await deployFiles({
      '1.0.0-1-make.ts': moduleText(create),
      '1.0.0-1-make.d.ts': 'export {};',
      '1.0.0-1-make.js.map': '{}',
      'README.md': '# Alterations',
      'index.ts': `throw new Error('not an alteration');`,
      'utils/1.0.0-2-no.ts': `throw new Error('not an alteration');`,
      '.gitkeep': '',
    });

    expect(report.applied.map(({ file }) => file)).toEqual(['1.0.0-1-make.ts']);
  });
});

describe('a link that leads nowhere', () => {
  test('is named when it is named like an alteration', async () => {
    const folder = await createFolder({ '1.0.0-1-create.sql': 'create table t ();' });
    await symlink(join(folder, 'nowhere'), join(folder, '1.0.0-2-gone.sql'));

    const error = await failureOf(deploy({ database: url, folder }));

    expect(error).toMatchObject({
      message: expect.stringContaining('"1.0.0-2-gone.sql"'),
      problems: [{ message: expect.stringContaining('cannot be read') }],
    });
    expect(await existing('t')).toBe(false);
  });

  test('is ignored when it is not', async () => {
    const folder = await createFolder({ '1.0.0-1-create.sql': 'create table t ();' });
    await symlink('somebody@somewhere.123', join(folder, '.#notes.md'));

    const { applied } = await deploy({ database: url, folder });

    expect(applied).toHaveLength(1);
  });
});

describe('control of the transaction', () => {
  test.each([
    'commit',
    'COMMIT and chain;',
    '  -- now\n commit',
    '/* a /* nested */ comment */ commit',
    '; commit',
    String.raw`--x\r commit`,
    '/* now */ end',
    'rollback',
    'rollback work',
    'abort',
    'begin',
    'begin isolation level serializable',
    'start   transaction',
    `prepare transaction 'x'`,
    'insert into t values (2); commit; insert into t values (3)',
  ])('is refused: %s', async (statement) => {
    const body = `
      await connection.query(sql.unsafe\`insert into t values (1)\`);
      await connection.query(sql.unsafe\`${statement}\`);`;

    const error = await failureOf(
      deployFiles({
        '1.0.0-1-create.sql': 'create table t (id int);',
        '1.0.0-2-control.ts': moduleText(body),
      }),
    );

    expect(error).toBeInstanceOf(AlterationFailedError);
    expect(error).toMatchObject({ message: expect.stringContaining('is not for an alteration') });
    expect(await query('select id from t')).toEqual([]);
    expect(await appliedIds()).toEqual(['1']);
  });

  test('is refused in a nested transaction', async () => {
    const body = `await connection.transaction((nested) => nested.query(sql.unsafe\`commit\`));`;

    const deploying = deployFiles({ '1.0.0-1-control.ts': moduleText(body) });

    await expect(deploying).rejects.toThrow('"commit" is not for an alteration');
  });

  test.each([
    ['savepoints', 'savepoint a; insert into t values (2); rollback to a; release savepoint a'],
    ['rollback to savepoint', 'savepoint a; insert into t values (2); rollback work to savepoint a'],
    ['a block with begin and end', 'do $$ begin perform 1; end $$'],
    ['words in strings', `select 'commit; rollback;'`],
  ])('is not: %s', async (_, statements) => {
    const body = `
      await connection.query(sql.unsafe\`create table t (id int); insert into t values (1)\`);
      await connection.query(sql.unsafe\`${statements}\`);`;

    await deployFiles({ '1.0.0-1-control.ts': moduleText(body) });

    expect(await query('select id from t')).toEqual([{ id: 1 }]);
  });
});

describe('a script that fails', () => {
  test('does so too when it swallows the error of a query', async () => {
    const body = `
      await connection.query(sql.unsafe\`create table t (id int)\`);
      await connection.query(sql.unsafe\`select 1/0\`).catch(() => undefined);`;

    const error = await failureOf(deployFiles({ '1.0.0-1-swallow.ts': moduleText(body) }));

    expect(error).toBeInstanceOf(AlterationFailedError);
    expect(error).toMatchObject({
      message:
        '"1.0.0-1-swallow.ts" failed: it went on after one of its statements had failed (division by zero), and PostgreSQL had given up the transaction.',
      place: { file: '1.0.0-1-swallow.ts', line: 5 },
      database: { sqlState: '25P02', statement: 'select 1/0' },
      hint: expect.stringContaining('connection.transaction'),
    });
    expect(await existing('t')).toBe(false);
    expect(await appliedIds()).toEqual([]);
  });

  test.each([
    [`'some text'`, 'it threw the string "some text", which is not an Error'],
    ['undefined', 'it threw undefined, which is not an Error'],
    ['{ code: 1 }', 'it threw an object, which is not an Error'],
  ])('is told when it throws %s', async (thrown, message) => {
    const error = await failureOf(deployFiles({ '1.0.0-1-throw.ts': moduleText(`throw ${thrown};`) }));

    expect(error).toBeInstanceOf(AlterationFailedError);
    expect(error).toMatchObject({ message: `"1.0.0-1-throw.ts" failed: ${message}.` });
  });

  test('leads to the line and the statement, with what PostgreSQL says of them', async () => {
    const text = `import { sql } from 'slonik';
export default {
  up: async (connection) => {
    await connection.query(sql.unsafe\`create table t (id int unique)\`);
    await connection.query(sql.unsafe\`insert into t values (\${1}), (1)\`);
  },
};
`;

    const error = await failureOf(deployFiles({ '1.0.0-1-double.ts': text }));

    expect(error).toMatchObject({
      alteration: '1.0.0-1-double.ts',
      phase: 'up',
      place: { file: '1.0.0-1-double.ts', line: 5, excerpt: expect.stringContaining('5 |     await') },
      database: { sqlState: '23505', detail: 'Key (id)=(1) already exists.' },
      progress: { direction: 'up', done: [], remaining: ['1.0.0-1-double.ts'] },
    });
  });

  test('has not lost the session when it is a connection of its own that fails', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo; // it listens on a port
    await new Promise((resolve) => server.close(resolve));
    const body = `await new Promise((_, reject) => { connect(${port}, '127.0.0.1').on('error', reject); });`;

    const error = await failureOf(
      deployFiles({ '1.0.0-1-fetch.ts': moduleText(body, `import { connect } from 'node:net';`) }),
    );

    expect(error).toBeInstanceOf(AlterationFailedError);
    expect(error).toMatchObject({ message: expect.stringContaining('ECONNREFUSED') });
  });

  test.each([
    ['an error', `throw Object.assign(new Error('reset by the peer'), { code: 'ECONNRESET' });`],
    [
      'the cause of an error',
      `throw new Error('reset by the peer', { cause: { code: 'EPIPE', message: '' } });`,
    ],
    [
      'a terminated backend of its own',
      `throw Object.assign(new Error('reset by the peer'), { code: '57P01' });`,
    ],
    [
      'an exception of SQL',
      `await connection.query(sql.unsafe\`do $$ begin raise exception 'reset by the peer' using errcode = '08006'; end $$\`);`,
    ],
  ])('has not lost the session when the code of a lost one is in %s', async (_, body) => {
    const error = await failureOf(deployFiles({ '1.0.0-1-api.ts': moduleText(body) }));

    expect(error).toBeInstanceOf(AlterationFailedError);
    expect(error).toMatchObject({ message: '"1.0.0-1-api.ts" failed: reset by the peer.' });
  });

  test.each([
    ['and tells that nothing stays', '', 'nothing of it stays'],
    [
      'and tells what stays of its beforeUp',
      'beforeUp: async (connection) => { await connection.query(sql.unsafe`create table stays ()`); },',
      'what beforeUp did stays, and it will be run again',
    ],
  ])('is rolled back, %s', async (_, beforeUp, told) => {
    const text = `import { sql } from 'slonik';
export default { ${beforeUp} up: async (connection) => { await connection.query(sql.unsafe\`select 1/0\`); } };`;

    const error = await failureOf(deployFiles({ '1.0.0-1-fail.ts': text }));

    expect(error).toBeInstanceOf(AlterationFailedError);
    expect(error).toMatchObject({ phase: 'up', hint: expect.stringContaining(told) });
    expect(await existing('stays')).toBe(beforeUp !== '');
  });

  test('is told even when its stack leads to a file that does not exist', async () => {
    const body = `const error = new Error('boom');
      error.stack = \`Error: boom\\n    at up (\${import.meta.dirname}/source.ts:3:7)\`;
      throw error;`;

    const error = await failureOf(deployFiles({ '1.0.0-1-mapped.js': moduleText(body) }));

    expect(error).toBeInstanceOf(AlterationFailedError);
    expect(error).toMatchObject({
      message: '"1.0.0-1-mapped.js" failed: boom.',
      place: { file: 'source.ts', line: 3, column: 7 },
    });
  });
});

describe('a file that was mended', () => {
  const creating = (table: string) => `await connection.query(sql.unsafe\`create table ${table} ()\`);`;
  const throwing = (message: string) => `throw new Error('${message}');`;

  test('is what the next deploy of the same process runs and records', async () => {
    const name = '1.0.0-1-mended.ts';
    const folder = await createFolder({ [name]: moduleText(creating('old') + throwing('first')) });
    const options = { database: url, folder };
    const first = await failureOf(deploy(options));
    await writeFiles(folder, { [name]: moduleText(creating('middle') + throwing('second')) });
    const second = await failureOf(deploy(options));
    const third = await failureOf(deploy(options));
    await writeFiles(folder, { [name]: moduleText(creating('mended')) });

    await deploy(options);

    expect(first).toMatchObject({ message: `"${name}" failed: first.` });
    expect(second).toMatchObject({ message: `"${name}" failed: second.` });
    expect(third).toMatchObject({ message: `"${name}" failed: second.` });
    expect(await query(`select relname from pg_class where relname in ('old', 'middle', 'mended')`)).toEqual([
      { relname: 'mended' },
    ]);
    expect(await check(options)).toMatchObject({ result: 'up-to-date', edited: [] });
  });

  test.each(['.ts', '.js'])('may be one that an alteration imports as %s', async (extension) => {
    const using = `import { sql } from 'slonik'; import { table } from './utils/table${extension}';`;
    const body = (name: string) =>
      `await connection.query(sql.unsafe\`create table \${sql.identifier([${name}])} ()\`);`;
    const helper = (table: string) => `export const table: string = '${table}';`;
    const folder = await createFolder({
      '1.0.0-1-using.ts': moduleText(body('table'), using),
      'utils/table.ts': helper('taken'),
    });
    const options = { database: url, folder };
    await query('create table taken ()');
    const error = await failureOf(deploy(options));
    await writeFiles(folder, {
      'utils/table.ts': helper('free'),
      'next-2-new.ts': moduleText(body(`table + '2'`), using),
    });

    await deploy({ ...options, target: 'next' });

    expect(error).toMatchObject({ database: { sqlState: '42P07' } });
    expect([await existing('free'), await existing('free2')]).toEqual([true, true]);
    expect(await check({ ...options, target: 'next' })).toMatchObject({ result: 'up-to-date', edited: [] });
  });
});

test('a module that throws a SyntaxError of its own is evaluated once', async () => {
  const imports = `import { appendFileSync } from 'node:fs';
    appendFileSync(new URL('../evaluated', import.meta.url), 'once ');
    JSON.parse('{');`;
  const folder = await createFolder({ '1.0.0-1-parse.ts': moduleText('', imports) });

  const error = await failureOf(deploy({ database: url, folder }));

  expect(error).toBeInstanceOf(UnusableAlterationError);
  expect(error).toMatchObject({ problems: [{ file: '1.0.0-1-parse.ts', line: 3 }] });
  expect(await readFile(join(dirname(folder), 'evaluated'), 'utf8')).toBe('once ');
});

describe('the default export', () => {
  test.each([
    [
      'is a function',
      'export default async (connection) => {};',
      'has a function as its default export; expected { up, down }',
    ],
    ['is an array', 'export default [];', 'has an array as its default export; expected { up, down }'],
    ['is null', 'export default null;', 'has null as its default export; expected { up, down }'],
    ['is a string', `export default 'up';`, 'has a string as its default export; expected { up, down }'],
    [
      'is missing',
      'const up = async () => {};',
      'has no default export; expected `export default { up, down }`',
    ],
    [
      'is missing beside named ones',
      'export const up = async () => {}; export const down = async () => {};',
      'has no default export; it exports "down", "up"; expected `export default { up, down }`',
    ],
    ['is empty', 'export default {};', 'has no "up": its default export is an empty object'],
    [
      'has no up',
      'export default { down: async () => {}, upp: async () => {} };',
      'has no "up": its default export is an object with "down", "upp"',
    ],
    [
      'has an up that is none',
      `export default { up: 'create table t' };`,
      'has "up" that is a string; each is a function',
    ],
    [
      'has other phases that are none',
      'export default { up: async () => {}, down: true, beforeUp: null };',
      'has "down" that is a boolean and "beforeUp" that is null; each is a function',
    ],
  ])('%s: that is said', async (_, text, message) => {
    const error = await failureOf(
      deployFiles({ '1.0.0-1-create.sql': 'create table t ();', '1.0.0-2-odd.ts': text }),
    );

    expect(error).toBeInstanceOf(UnusableAlterationError);
    expect(error).toMatchObject({ message: `"1.0.0-2-odd.ts" ${message}.` });
    expect(await existing('t')).toBe(false);
  });
});

describe('what is pending is loaded before the first of it runs', () => {
  test.each([
    ['does not parse', 'export default {', '"1.0.0-2-broken.ts"'],
    ['throws as it is loaded', `throw new Error('at load');`, 'at load'],
    [
      'imports what is not there',
      `import 'not-installed';\nexport default { up: async () => {} };`,
      'not-installed',
    ],
  ])('and nothing is done when one %s', async (_, text, message) => {
    const error = await failureOf(
      deployFiles({ '1.0.0-1-create.sql': 'create table t ();', '1.0.0-2-broken.ts': text }),
    );

    expect(error).toBeInstanceOf(UnusableAlterationError);
    expect(error).toMatchObject({ message: expect.stringContaining(message) });
    expect(await existing('t')).toBe(false);
    expect(await existing('alteration_history')).toBe(false);
  });

  test('and all that is wrong is told at once', async () => {
    const error = await failureOf(
      deployFiles({
        '1.0.0-1-create.sql': 'create table t ();',
        '1.0.0-2-array.ts': 'export default [];',
        '1.0.0-3-control.sql': 'create table u ();\ncommit;',
        '1.0.0-4-empty.sql': '',
      }),
    );

    expect(error).toMatchObject({
      problems: [
        { file: '1.0.0-2-array.ts' },
        { file: '1.0.0-3-control.sql', line: 2 },
        { file: '1.0.0-4-empty.sql' },
      ],
    });
  });

  test('but not what lies beyond the target', async () => {
    const folder = await createFolder({ '1.0.0-1-create.sql': 'create table t ();' });
    await writeFiles(folder, { 'next-2-broken.ts': 'export default {' });

    const { applied, pending } = await deploy({ database: url, folder });

    expect({ applied: applied.length, pending }).toEqual({ applied: 1, pending: 1 });
  });
});

test('each alteration starts from the same session', async () => {
  const body = `
    await connection.query(sql.unsafe\`set search_path = elsewhere\`);
    await connection.query(sql.unsafe\`set role alteration_test_other\`);
    await connection.query(sql.unsafe\`set statement_timeout = '1min'\`);
    await connection.query(sql.unsafe\`create temporary table scratch ()\`);
    await connection.query(sql.unsafe\`prepare kept as select 1\`);
    await connection.query(sql.unsafe\`select set_config('app.mode', 'odd', false)\`);`;
  const look = `
    const path = await connection.oneFirst(sql.unsafe\`select current_setting('search_path')\`);
    const role = await connection.oneFirst(sql.unsafe\`select current_user = session_user\`);
    const timeout = await connection.oneFirst(sql.unsafe\`select current_setting('statement_timeout')\`);
    const scratch = await connection.oneFirst(sql.unsafe\`select to_regclass('pg_temp.scratch')::text\`);
    const prepared = await connection.anyFirst(sql.unsafe\`select name from pg_prepared_statements where name = 'kept'\`);
    const mode = await connection.oneFirst(sql.unsafe\`select coalesce(current_setting('app.mode', true), '')\`);
    const value = JSON.stringify({ path, role, timeout, scratch, prepared, mode });
    await connection.query(sql.unsafe\`create table found (value jsonb)\`);
    await connection.query(sql.unsafe\`insert into found values (\${value})\`);`;
  await query('create role alteration_test_other');
  await query('grant pg_read_all_data, pg_write_all_data to alteration_test_other');

  await deployFiles({ '1.0.0-1-change.ts': moduleText(body), '1.0.0-2-look.ts': moduleText(look) });

  await query('drop role alteration_test_other');
  expect(await query('select value from found')).toEqual([
    {
      value: { path: '"$user", public', role: true, timeout: '0', scratch: null, prepared: [], mode: '' },
    },
  ]);
});
