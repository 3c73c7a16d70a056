import { rename, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { createPool } from 'slonik';
import { beforeEach, describe, expect, test } from 'vitest';
import manifest from '../../package.json' with { type: 'json' };
import { openModuleSources, sourceDigestFor } from '../../src/folder/module-sources.ts';
import { createHistoryTableOfVersion, historyTableVersion } from '../../src/postgres/history-table.ts';
import { queryableOf } from '../../src/postgres/slonik.ts';
import { createRole } from '../support/create-role.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder, writeFiles } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { moduleText } from '../support/module-text.ts';

const { baseline, check, deploy, list, rollback, status } = library;
const { DatabaseRefusedError, EditedError, HistoryError } = library;
const database = await createDatabase();
const { query, url } = database;

beforeEach(() => emptyDatabase(database));

const insert = (id: number) => `await connection.query(sql.unsafe\`insert into runs values (${id})\`);`;

/** Leaves in `runs` one row for each time that it is run. */
const files = {
  '1.0.0-1-create-runs.sql': 'create table runs (id int);\n',
  '1.0.0-2-first.ts': moduleText(insert(2)),
  'next-3-second.up.sql': 'insert into runs values (3);\n',
  'next-3-second.down.sql': 'delete from runs where id = 3;\n',
};

async function readRows(table = 'public.alteration_history') {
  return query<{ timestamp: string; version: string; name: string; checksum: string; state: string }>(
    `select "timestamp", version, name, checksum, state from ${table} order by "timestamp"`,
  );
}

async function readRuns(): Promise<number[]> {
  const rows = await query<{ id: number }>('select id from runs order by id');
  return rows.map(({ id }) => id);
}

describe('a row', () => {
  test('tells what was applied, when, for how long, by whom, from where and with what', async () => {
    const folder = await createFolder({
      '1.0.0_beta.10-1674032095-create.sql': 'select pg_sleep(0.05);',
      '1.0.0-1674032095.3-second-step.ts': moduleText('', ''),
    });
    const before = new Date();

    const { deployId } = await deploy({ database: url, folder });

    const rows = await query('select * from public.alteration_history order by "timestamp"');
    const written = {
      applied_at: expect.any(Date),
      role: new URL(url).username,
      host: hostname(),
      runner: manifest.version,
      deploy_id: deployId,
      state: 'applied',
      statement_digests: null,
      statement_under_way: null,
    };
    expect(rows).toEqual([
      {
        ...written,
        timestamp: '1674032095',
        version: '1.0.0-beta.10',
        name: 'create',
        checksum: expect.stringMatching(/^sql-1:[0-9a-f]{64}$/),
        source_digest: null,
        duration_ms: expect.stringMatching(/^\d+$/),
      },
      {
        ...written,
        timestamp: '1674032095.3',
        version: '1.0.0',
        name: 'second-step',
        checksum: expect.stringMatching(/^module-1:[0-9a-f]{64}$/),
        source_digest: expect.stringMatching(/^module-1-source-1:[0-9a-f]{64}$/),
        duration_ms: expect.stringMatching(/^\d+$/),
      },
    ]);
    expect(Number(rows[0]?.['duration_ms'])).toBeGreaterThanOrEqual(50);
    const times = rows.map((row) => row['applied_at'].getTime());
    expect(times).toEqual(times.toSorted());
    expect(times[0]).toBeGreaterThanOrEqual(before.getTime());
  });

  test('carries the id of its own deploy', async () => {
    const folder = await createFolder(files);

    const first = await deploy({ database: url, folder });
    const second = await deploy({ database: url, folder, target: 'next' });

    const rows = await query('select "timestamp", deploy_id from public.alteration_history order by 1');
    expect(rows).toEqual([
      { timestamp: '1', deploy_id: first.deployId },
      { timestamp: '2', deploy_id: first.deployId },
      { timestamp: '3', deploy_id: second.deployId },
    ]);
    expect(second.deployId).not.toBe(first.deployId);
  });

  test('is written only with the work: what was done before a failure stays, the failure leaves none', async () => {
    const folder = await createFolder({
      ...files,
      '1.0.0-4-fail.sql': 'insert into runs values (4);\nselect 1/0;',
    });

    const error = await failureOf(deploy({ database: url, folder }));

    expect(error).toMatchObject({
      code: 'alteration-failed',
      place: { file: '1.0.0-4-fail.sql', line: 2 },
      progress: {
        done: ['1.0.0-1-create-runs.sql', '1.0.0-2-first.ts'],
        remaining: ['1.0.0-4-fail.sql'],
      },
    });
    expect((await readRows()).map(({ timestamp }) => timestamp)).toEqual(['1', '2']);
    expect(await readRuns()).toEqual([2]);
  });

  test('goes with the rollback of its alteration', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder, target: 'next' });

    await rollback({ database: url, folder, target: 'latest' });

    expect((await readRows()).map(({ timestamp }) => timestamp)).toEqual(['1', '2']);
    expect(await readRuns()).toEqual([2]);
  });
});

describe('the table', () => {
  test.each([
    ['an SQL file', '.sql', `select pg_catalog.set_config('search_path', '', false);`],
    [
      'a module',
      '.ts',
      moduleText(
        `await connection.query(sql.unsafe\`select pg_catalog.set_config('search_path', '', false)\`);`,
      ),
    ],
    [
      'a file without a transaction',
      '.sql',
      `-- alteration: no-transaction\nset search_path = '';\nselect 1;`,
    ],
  ])('is found while %s empties the search path', async (_, extension, text) => {
    const folder = await createFolder({
      [`1.0.0-1-dump${extension}`]: text,
      '1.0.0-2-create.sql': 'create table unqualified ();',
    });

    await deploy({ database: url, folder });

    expect((await readRows()).map(({ timestamp }) => timestamp)).toEqual(['1', '2']);
    expect(await query(`select to_regclass('public.unqualified') is not null as found`)).toEqual([
      { found: true },
    ]);
  });

  test.each([
    ['a SQL file', '.sql', (role: string) => `set role ${role};\ncreate table owned ();`],
    [
      'a module',
      '.ts',
      (role: string) =>
        moduleText(
          `await connection.query(sql.unsafe\`set local session authorization ${role}\`);
           await connection.query(sql.unsafe\`create table owned ()\`);`,
        ),
    ],
  ])('is written by the role of the connection when %s takes another', async (_, extension, text) => {
    const role = `other_${database.name}`;
    await query(`create role ${role}; grant create on schema public to ${role}`);
    try {
      await deploy({
        database: url,
        folder: await createFolder({ [`1.0.0-1-own${extension}`]: text(role) }),
      });

      expect(
        await query(`select pg_get_userbyid(relowner) as owner from pg_class where relname = 'owned'`),
      ).toEqual([{ owner: role }]);
      const [row] = await query<{ role: string }>('select role from public.alteration_history');
      expect(row?.role).toBe(decodeURIComponent(new URL(url).username));
    } finally {
      await query(`drop owned by ${role}; drop role ${role}`);
    }
  });

  test('stands in the schema and under the name that were set, and the schema is created', async () => {
    const folder = await createFolder(files);
    const options = { database: url, folder, historySchema: 'Odd "schema"', historyTable: "it's; history" };

    await deploy(options);
    const report = await list(options);

    expect(await readRows(`"Odd ""schema"""."it's; history"`)).toHaveLength(2);
    expect(await query(`select to_regclass('public.alteration_history') as found`)).toEqual([
      { found: null },
    ]);
    expect(report.alterations.map(({ state }) => state)).toEqual(['applied', 'applied', 'pending']);
  });

  test('is one of several in a database, which know nothing of each other', async () => {
    const folder = await createFolder({
      '1.0.0-1-append.sql': 'create table if not exists runs (id int); insert into runs values (1);',
    });

    await deploy({ database: url, folder });
    await deploy({ database: url, folder, historyTable: 'other_history' });

    expect(await readRuns()).toEqual([1, 1]);
  });

  test.each([1, 2, 3])(
    'of version %i is brought up to date by a deploy, and its rows stay',
    async (version) => {
      const folder = await createFolder(files);
      await createTableOfVersion(version);

      const before = await list({ database: url, folder });
      const { applied } = await deploy({ database: url, folder, target: 'next' });

      expect(before.alterations.map(({ state }) => state)).toEqual(['applied', 'pending', 'pending']);
      expect(applied.map(({ id }) => id)).toEqual(['2', '3']);
      expect(
        await query(`select "timestamp", host, state from public.alteration_history order by 1`),
      ).toEqual([
        { timestamp: '1', host: 'old-host', state: 'applied' },
        { timestamp: '2', host: hostname(), state: 'applied' },
        { timestamp: '3', host: hostname(), state: 'applied' },
      ]);
      expect(await readComment()).toBe(`alteration history, version ${historyTableVersion}`);
    },
  );

  test.each([1, 2, 3])('of version %i stays as it is while nothing is pending', async (version) => {
    const folder = await createFolder({ '1.0.0-1-create-runs.sql': files['1.0.0-1-create-runs.sql'] });
    await createTableOfVersion(version);

    await deploy({ database: url, folder });

    expect(await readComment()).toBe(`alteration history, version ${version}`);
  });

  test('of a newer version is refused', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    await query(`comment on table public.alteration_history is 'alteration history, version 99'`);

    for (const operation of [deploy, list, status, check]) {
      const error = await failureOf(operation({ database: url, folder }));
      expect(error).toBeInstanceOf(HistoryError);
      expect(error).toMatchObject({
        message: expect.stringMatching(
          /^"public\.alteration_history" was written by a newer runner \(table version 99;/,
        ),
      });
    }
    await expect(rollback({ database: url, folder, target: '0.0.0' })).rejects.toThrow('newer runner');
  });

  test.each([
    ['a table', 'create table alteration_history (id int)'],
    ['a view', 'create view alteration_history as select 1 as id'],
    [
      'a table with a comment',
      `create table alteration_history (); comment on table alteration_history is 'ours'`,
    ],
  ])('of somebody else is refused: %s', async (_, statement) => {
    await query(statement);

    const error = await failureOf(deploy({ database: url, folder: await createFolder(files) }));

    expect(error).toBeInstanceOf(HistoryError);
    expect(error).toMatchObject({
      message: '"public.alteration_history" exists and is not an alteration history.',
    });
    expect(await query(`select to_regclass('public.runs') as found`)).toEqual([{ found: null }]);
  });

  test('takes no state that is none', async () => {
    await deploy({ database: url, folder: await createFolder(files) });

    const updating = query(`update public.alteration_history set state = 'skipped'`);

    await expect(updating).rejects.toMatchObject({ code: '23514' });
  });

  test('with rows that make no sense is refused, and all of them are named', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    await query(`update public.alteration_history set version = 'v1' where "timestamp" = '1'`);
    await query(`update public.alteration_history set "timestamp" = 'yesterday' where "timestamp" = '2'`);

    const error = await failureOf(deploy({ database: url, folder, target: 'next' }));

    expect(error).toBeInstanceOf(HistoryError);
    expect(error).toMatchObject({
      message: 'The history "public.alteration_history" has rows that make no sense.',
      problems: expect.arrayContaining([
        { message: 'Row "1": version: is not a version.' },
        { message: 'Row "yesterday": timestamp: is not a timestamp.' },
      ]),
    });
    expect(await readRuns()).toEqual([2]);
  });

  test.each([
    [`"timestamp" = '1663923211.0'`, 'Row "1663923211.0": timestamp: is not a timestamp.'],
    [`"timestamp" = '01'`, 'Row "01": timestamp: is not a timestamp.'],
    [`applied_at = 'infinity'`, 'Row "1": applied_at: is not a moment.'],
    [
      `version = '1.0', applied_at = '-infinity'`,
      'Row "1": version: is not a version; applied_at: is not a moment.',
    ],
  ])('with a row that says the same in another way, or never, is refused: %s', async (change, message) => {
    const folder = await createFolder({
      '1.0.0-1-create-runs.sql': files['1.0.0-1-create-runs.sql'].replace('table', 'table if not exists'),
    });
    await deploy({ database: url, folder });
    await query(`update public.alteration_history set ${change}`);
    const before = await query('select * from public.alteration_history');

    for (const operation of [deploy, list, status, check]) {
      const error = await failureOf(operation({ database: url, folder }));
      expect(error).toBeInstanceOf(HistoryError);
      expect(error).toMatchObject({ problems: [{ message }] });
    }
    expect(await query('select * from public.alteration_history')).toEqual(before);
  });

  async function createTableOfVersion(version: number): Promise<void> {
    const pool = await createPool(url);
    await createHistoryTableOfVersion(
      queryableOf(pool),
      { schema: 'public', table: 'alteration_history' },
      version,
    );
    await pool.end();
    const folder = await createFolder(files);
    await deploy({ database: url, folder, target: '1.0.0', historyTable: 'source' });
    await query('drop table runs; create table runs (id int)');
    await query(`
      insert into alteration_history
        ("timestamp", version, name, checksum, applied_at, duration_ms, role, host, runner, deploy_id)
      select "timestamp", version, name, checksum, applied_at, duration_ms, role, 'old-host', runner, deploy_id
      from source where "timestamp" = '1'
    `);
  }

  async function readComment(): Promise<unknown> {
    const [row] = await query(
      `select obj_description('public.alteration_history'::regclass, 'pg_class') as comment`,
    );
    return row?.['comment'];
  }
});

describe('a role', () => {
  test('that may create in the schema, and no schema, can deploy', async () => {
    const { role, url: source } = await createRole(
      database,
      (name) => `grant create on schema public to ${name}`,
    );

    await deploy({ database: source, folder: await createFolder(files) });

    expect(await query('select distinct role from public.alteration_history')).toEqual([{ role }]);
    expect(await readRuns()).toEqual([2]);
  });

  test.each([
    ['read', '', 'permission denied for table alteration_history', [list, status, check, deploy]],
    ['write', 'select', 'may not write the history table "public.alteration_history"', [deploy]],
    ['add to', 'select, update, delete', 'may not write the history table', [deploy]],
  ])('that may not %s the history is told so', async (_, rights, message, operations) => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    await writeFiles(folder, { '1.0.0-4-fourth.sql': 'create table fourth ();' });
    const { url: source } = await createRole(
      database,
      (name) => `grant create on schema public to ${name};
        ${rights && `grant ${rights} on public.alteration_history to ${name}`}`,
    );

    for (const operation of operations) {
      const error = await failureOf(operation({ database: source, folder }));
      expect(error).toBeInstanceOf(DatabaseRefusedError);
      expect(error).toMatchObject({
        message: expect.stringContaining(message),
        hint: expect.stringContaining('Grant it'),
      });
    }
    expect(await query(`select to_regclass('public.fourth') as found`)).toEqual([{ found: null }]);
  });

  test('that may create functions cannot put its own in the place of those that the runner calls', async () => {
    const folder = await createFolder({
      '1.0.0-1-create.up.sql': 'create table runs (id int);',
      '1.0.0-1-create.down.sql': 'drop table runs;',
      'next-2-second.up.sql': 'insert into runs values (2);',
      'next-2-second.down.sql': 'delete from runs;',
    });
    const options = { database: url, folder, target: 'next' };
    await deploy({ ...options, target: 'latest' });
    await createRole(
      database,
      (name) => `grant create on schema public to ${name}; set role ${name};
        ${shadows.map(createShadow).join('\n')}`,
    );

    await expect(query('select to_jsonb(h) from alteration_history as h')).rejects.toThrow('shadow');
    await expect(query(`select count('x'::text)`)).rejects.toThrow('shadow');
    await expect(query(`select json_agg('{}'::jsonb)`)).rejects.toThrow('shadow');
    await deploy(options);
    await rename(join(folder, 'next-2-second.up.sql'), join(folder, '1.5.0-2-second.up.sql'));
    await rename(join(folder, 'next-2-second.down.sql'), join(folder, '1.5.0-2-second.down.sql'));
    expect((await deploy(options)).renamed).toHaveLength(1);
    expect((await check(options)).result).toBe('up-to-date');
    expect((await list(options)).alterations).toHaveLength(2);
    expect((await status(options)).counts.applied).toBe(2);
    expect((await rollback({ ...options, target: '0.0.0' })).rolledBack).toHaveLength(2);
    expect((await baseline(options)).recorded).toHaveLength(2);
    await writeFiles(folder, { '1.5.0-2-second.up.sql': 'select 1;' });
    expect((await deploy({ ...options, allowEdited: true })).accepted).toHaveLength(1);
  });

  /** Each takes the very types that a call has, and so would be preferred to PostgreSQL's own of any type. */
  const shadows = [
    'to_jsonb(public.alteration_history) returns jsonb',
    'json_agg(jsonb) returns json',
    'json_agg(json) returns json',
    'json_build_object(text, boolean) returns json',
    'json_build_object(text, json) returns json',
    'json_build_object(text, bigint, text, boolean) returns json',
    'json_build_object(text, text, text, text) returns json',
    'json_build_object(text, "char", text, text) returns json',
    'jsonb_to_recordset(text) returns setof record',
    'count(text) returns bigint',
    'unnest(text[]) returns setof text',
    'unnest(text[], text[]) returns setof record',
  ];

  function createShadow(signature: string): string {
    return `create function public.${signature} language plpgsql as $$ begin raise exception 'shadow'; end $$;`;
  }
});

describe('a renamed file', () => {
  const next = { ...files, 'next-2-first.ts': files['1.0.0-2-first.ts'] };

  test('is the same alteration: the row of a next one takes the released version', async () => {
    const { '1.0.0-2-first.ts': _, ...before } = next;
    const folder = await createFolder(before);
    await deploy({ database: url, folder, target: 'next' });
    await rename(join(folder, 'next-2-first.ts'), join(folder, '1.5.0-2-first.ts'));
    await rename(join(folder, 'next-3-second.up.sql'), join(folder, '1.5.0-3-second.up.sql'));
    await rename(join(folder, 'next-3-second.down.sql'), join(folder, '1.5.0-3-second.down.sql'));

    const report = await deploy({ database: url, folder });

    expect(report).toMatchObject({
      applied: [],
      deployId: null,
      version: '1.5.0',
      renamed: [
        { id: '2', file: '1.5.0-2-first.ts', from: 'next', to: '1.5.0' },
        { id: '3', file: '1.5.0-3-second.up.sql', from: 'next', to: '1.5.0' },
      ],
    });
    expect((await readRows()).map(({ version }) => version)).toEqual(['1.0.0', '1.5.0', '1.5.0']);
    expect(await readRuns()).toEqual([2, 3]);
    expect(await deploy({ database: url, folder })).toMatchObject({ applied: [], renamed: [] });
  });

  test('may have another name too, and its row takes that', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    await rename(join(folder, '1.0.0-2-first.ts'), join(folder, '1.0.0-2-better-name.ts'));

    await deploy({ database: url, folder });

    expect((await readRows()).map(({ name }) => name)).toEqual(['create-runs', 'better-name']);
  });

  test('is the same alteration when a .js that was compiled from the .ts takes its place', async () => {
    const typed = `import { sql, type DatabaseTransactionConnection } from 'slonik';
import { table } from './utils/table.js';

// Types, comments and line breaks go.
const alteration: { up: (connection: DatabaseTransactionConnection) => Promise<void> } = {
  up: async (connection: DatabaseTransactionConnection): Promise<void> => {
    await connection.query(sql.unsafe\`
      insert into \${sql.identifier([table])} values (2)
    \`);
  },
};
export default alteration;
`;
    const compiled = `import { sql } from "slonik";
import { table } from "./utils/table.js";
const alteration = {
    up: async (connection) => {
        await connection.query(sql.unsafe \`
      insert into \${sql.identifier([table])} values (2)
    \`);
    },
};
export default alteration;
`;
    const folder = await createFolder({
      '1.0.0-1-create-runs.sql': files['1.0.0-1-create-runs.sql'],
      '1.0.0-2-first.ts': typed,
      'utils/table.ts': `export const table: string = 'runs';`,
    });
    await deploy({ database: url, folder });
    await rm(join(folder, '1.0.0-2-first.ts'));
    await rm(join(folder, 'utils/table.ts'));
    await writeFiles(folder, {
      '1.0.0-2-first.js': compiled,
      'utils/table.js': `export const table = "runs";`,
    });

    const report = await deploy({ database: url, folder });

    expect(report).toMatchObject({ applied: [], renamed: [], accepted: [] });
    expect(await readRuns()).toEqual([2]);
  });
});

describe('a row without a file', () => {
  test('stops nothing and is told by list, check and deploy', async () => {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    await rm(join(folder, '1.0.0-2-first.ts'));
    const events: string[] = [];
    const missing = [{ id: '2', version: '1.0.0', name: 'first' }];

    const listed = await list({ database: url, folder });
    const checked = await check({ database: url, folder });
    const deployed = await deploy({
      database: url,
      folder,
      target: 'next',
      onEvent: (event) => event.type === 'missing' && events.push(...event.alterations),
    });

    expect(listed.alterations.find(({ id }) => id === '2')).toMatchObject({ state: 'missing', file: null });
    expect(checked).toMatchObject({ result: 'up-to-date', missing });
    expect(deployed).toMatchObject({ applied: [{ id: '3' }], missing });
    expect(events).toEqual(['2-first']);
  });
});

describe('an applied module', () => {
  const module = '1.0.0-2-first.ts';
  const readDigest = async () => {
    const [row] = await query(
      `select checksum, source_digest from alteration_history where "timestamp" = '2'`,
    );
    return row;
  };
  /** What the history says of a module that is so in this folder and has this checksum. */
  const digestOf = (folder: string, checksum: unknown) =>
    sourceDigestFor(String(checksum), openModuleSources(folder).digest(join(folder, module)));

  async function deployed(): Promise<string> {
    const folder = await createFolder(files);
    await deploy({ database: url, folder });
    return folder;
  }

  test('is known by its text, without being parsed: what it was applied with counts', async () => {
    const folder = await deployed();
    const checksum = 'module-1:of-another-parser';
    await query(
      `update alteration_history set checksum = '${checksum}', source_digest = '${digestOf(folder, checksum)}' where "timestamp" = '2'`,
    );

    expect(await check({ database: url, folder })).toMatchObject({ result: 'up-to-date', edited: [] });
    await writeFile(join(folder, module), `${files[module]}\n`);
    expect(await check({ database: url, folder })).toMatchObject({ result: 'integrity', edited: [module] });
  });

  test.each([
    ['there is no digest', 'null'],
    ['the digest is of other text', `'module-1-source-1:${'0'.repeat(64)}'`],
    ['the digest is of other rules', `replace(source_digest, 'module-1', 'module-0')`],
  ])('is parsed where %s, and nothing is written', async (_, digest) => {
    const folder = await deployed();
    await query(`update alteration_history set source_digest = ${digest}`);
    const before = await query('select xmin::text, * from alteration_history');

    expect(await check({ database: url, folder })).toMatchObject({ result: 'up-to-date', edited: [] });
    await deploy({ database: url, folder });

    expect(await query('select xmin::text, * from alteration_history')).toEqual(before);
  });

  test('is edited when the checksum of its row is another one, whatever the digest says', async () => {
    const folder = await deployed();
    await query(`update alteration_history set checksum = 'module-1:other' where "timestamp" = '2'`);

    expect(await check({ database: url, folder })).toMatchObject({ result: 'integrity', edited: [module] });
  });

  test('has the digest of its text in the row, also by baseline and after an edit that was accepted', async () => {
    const folder = await createFolder(files);
    await baseline({ database: url, folder, target: '1.0.0' });
    const row = await readDigest();
    await writeFile(join(folder, module), moduleText(insert(5)));

    await deploy({ database: url, folder, allowEdited: true });

    const accepted = await readDigest();
    expect(row?.['source_digest']).toMatch(/^module-1-source-1:/);
    expect(accepted?.['source_digest']).not.toBe(row?.['source_digest']);
    expect(accepted?.['source_digest']).toBe(digestOf(folder, accepted?.['checksum']));
  });
});

describe('an applied file', () => {
  const helped = {
    '1.0.0-1-create-runs.sql': 'create table runs (id int);\n\n-- the end\ninsert into runs values (1);\n',
    '1.0.0-2-helped.ts': `import { sql } from 'slonik';
import { id } from './utils/id.js';
export default { up: async (connection) => { await connection.query(sql.unsafe\`insert into runs values (\${id})\`); } };
`,
    '1.0.0-3-pair.up.sql': 'insert into runs values (3);\n',
    '1.0.0-3-pair.down.sql': 'delete from runs where id = 3;\n',
    'utils/id.ts': 'export const id = 2;\n',
    'next-9-later.sql': 'insert into runs values (9);\n',
  };

  async function deployed(): Promise<string> {
    const folder = await createFolder(helped);
    await deploy({ database: url, folder });
    return folder;
  }

  test.each([
    [
      'line ends of Windows',
      '1.0.0-1-create-runs.sql',
      helped['1.0.0-1-create-runs.sql'].replaceAll('\n', '\r\n'),
    ],
    ['a byte order mark', '1.0.0-1-create-runs.sql', `\uFEFF${helped['1.0.0-1-create-runs.sql']}`],
    [
      'a comment and another format',
      '1.0.0-2-helped.ts',
      `// why\n${helped['1.0.0-2-helped.ts'].replaceAll("'", '"').replace('{ up:', '{\n  /* how */\n  up:')}`,
    ],
    [
      'a type',
      '1.0.0-2-helped.ts',
      helped['1.0.0-2-helped.ts'].replace('(connection)', '(connection: { query: Function })'),
    ],
    ['a comment in a helper', 'utils/id.ts', '// why two\nexport const id = 2;\n'],
    ['another way down', '1.0.0-3-pair.down.sql', 'delete from runs where id in (3);\n'],
  ])('may get %s', async (_, file, text) => {
    const folder = await deployed();
    await writeFile(join(folder, file), text);

    const report = await deploy({ database: url, folder, target: 'next' });

    expect(report).toMatchObject({ applied: [{ id: '9' }], accepted: [] });
    expect(await check({ database: url, folder })).toMatchObject({ result: 'up-to-date', edited: [] });
  });

  test.each([
    [
      'another statement',
      '1.0.0-1-create-runs.sql',
      'create table runs (id bigint);\n',
      '1.0.0-1-create-runs.sql',
    ],
    [
      'other code',
      '1.0.0-2-helped.ts',
      helped['1.0.0-2-helped.ts'].replace('insert into runs', 'insert into  runs'),
      '1.0.0-2-helped.ts',
    ],
    ['another helper', 'utils/id.ts', 'export const id = 3;\n', '1.0.0-2-helped.ts'],
    ['another way up', '1.0.0-3-pair.up.sql', 'insert into runs values (4);\n', '1.0.0-3-pair.up.sql'],
    ['a syntax error', '1.0.0-2-helped.ts', 'export default {', '1.0.0-2-helped.ts'],
  ])(
    'is edited when it gets %s: told by list and check, refused by deploy',
    async (_, file, text, edited) => {
      const folder = await deployed();
      const runs = await readRuns();
      await writeFile(join(folder, file), text);

      const error = await failureOf(deploy({ database: url, folder, target: 'next' }));
      const { alterations } = await list({ database: url, folder });

      expect(error).toBeInstanceOf(EditedError);
      expect(error).toMatchObject({
        message: `"${edited}" was edited after it was applied.`,
        problems: [{ file: edited }],
      });
      expect(await readRuns()).toEqual(runs);
      expect(await check({ database: url, folder })).toMatchObject({ result: 'integrity', edited: [edited] });
      expect(alterations.filter(({ state }) => state === 'edited').map((one) => one.file)).toEqual([edited]);
    },
  );

  test('is named with all others that are edited', async () => {
    const folder = await deployed();
    await writeFile(join(folder, 'utils/id.ts'), 'export const id = 4;');
    await writeFile(join(folder, '1.0.0-1-create-runs.sql'), '');

    const error = await failureOf(deploy({ database: url, folder }));

    expect(error).toMatchObject({
      message: '2 alterations were edited after they were applied.',
      problems: [{ file: '1.0.0-1-create-runs.sql' }, { file: '1.0.0-2-helped.ts' }],
    });
  });

  test('that is edited is taken as it is when that is allowed, and not run again', async () => {
    const folder = await deployed();
    const runs = await readRuns();
    await writeFile(join(folder, '1.0.0-3-pair.up.sql'), 'insert into runs values (4);\n');
    const before = await readRows();

    const report = await deploy({ database: url, folder, allowEdited: true });

    const after = await readRows();
    expect(report).toMatchObject({ accepted: ['1.0.0-3-pair.up.sql'], applied: [] });
    expect(await readRuns()).toEqual(runs);
    expect(after.map((row, index) => row.checksum === before[index]?.checksum)).toEqual([true, true, false]);
    expect(await check({ database: url, folder })).toMatchObject({ result: 'up-to-date', edited: [] });
  });

  test('that is edited and cannot be read is not taken even so', async () => {
    const folder = await deployed();
    await writeFile(join(folder, '1.0.0-2-helped.ts'), 'export default {');

    const error = await failureOf(deploy({ database: url, folder, allowEdited: true }));

    expect(error).toBeInstanceOf(EditedError);
  });

  test('that is edited keeps its own rollback from being run, unless that is allowed', async () => {
    const folder = await createFolder({
      ...helped,
      '1.1.0-4-more.up.sql': 'insert into runs values (4);',
      '1.1.0-4-more.down.sql': 'delete from runs where id = 4;',
    });
    await deploy({ database: url, folder });
    await writeFile(join(folder, '1.1.0-4-more.up.sql'), 'insert into runs values (5);');
    await writeFile(join(folder, '1.0.0-1-create-runs.sql'), 'edited, and not in the way');

    const error = await failureOf(rollback({ database: url, folder, target: '1.0.0' }));
    const report = await rollback({ database: url, folder, target: '1.0.0', allowEdited: true });

    expect(error).toMatchObject({ code: 'edited', problems: [{ file: '1.1.0-4-more.up.sql' }] });
    expect(report.rolledBack.map(({ id }) => id)).toEqual(['4']);
  });
});
