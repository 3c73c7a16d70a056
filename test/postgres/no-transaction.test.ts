import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { moduleText } from '../support/module-text.ts';

const { check, deploy, list, rollback, AlterationHalfDoneError, EditedError, RollbackRefusedError } = library;
const database = await createDatabase();
const { query, url } = database;

beforeEach(() => emptyDatabase(database));

const create = { '1.0.0-1-create.sql': 'create table effects (id int);' };
const file = '1.1.0-2-steps.sql';

const steps = (third: string) => `-- alteration: no-transaction
insert into effects values (1);

vacuum effects;
${third};
insert into effects values (4);
`;

const failing = steps('insert into effects select 1 / 0');
const mended = steps('insert into effects values (3)');

/** A folder whose second alteration has failed in the third of its four statements. */
async function halfDone(more: Readonly<Record<string, string>> = {}) {
  const folder = await createFolder({ ...create, [file]: failing, ...more });
  const error = await failureOf(deploy({ database: url, folder }));
  return { folder, error };
}

async function readEffects(): Promise<number[]> {
  const rows = await query<{ id: number }>('select id from effects order by id');
  return rows.map(({ id }) => id);
}

describe('a failure in a file without a transaction', () => {
  test('tells how far it came, and what is done stays', async () => {
    const { error } = await halfDone({ '1.1.0-3-later.sql': 'insert into effects values (5);' });

    expect(error).toBeInstanceOf(AlterationHalfDoneError);
    expect(error).toMatchObject({
      code: 'alteration-half-done',
      message: `"${file}" failed: division by zero.`,
      alteration: file,
      phase: 'up',
      statements: { done: 2, total: 4 },
      place: { file, line: 5 },
      database: { sqlState: '22012', statement: 'insert into effects select 1 / 0' },
      hint: expect.stringContaining('the next deploy goes on with statement 3'),
      progress: { done: ['1.0.0-1-create.sql'], remaining: [file, '1.1.0-3-later.sql'] },
    });
    expect(await readEffects()).toEqual([1]);
  });

  test('ends the process with exit code 5', async () => {
    const folder = await createFolder({ ...create, [file]: failing });

    const { exitCode, stdout } = await runCli(['deploy', '--json', '--dir', folder], {
      env: { DB_URL: url },
    });

    expect(exitCode).toBe(5);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'alteration-half-done', exitCode: 5, statements: { done: 2, total: 4 } },
    });
  });

  test('is shown by list and check as something that is still to be done', async () => {
    const { folder } = await halfDone();

    const { alterations, version } = await list({ database: url, folder });
    const checked = await check({ database: url, folder });

    expect(version).toBe('1.0.0');
    expect(alterations).toMatchObject([
      { id: '1', state: 'applied', statementsDone: null },
      { id: '2', state: 'pending', statementsDone: 2, appliedAt: null },
    ]);
    expect(checked).toMatchObject({ result: 'pending', pending: [{ id: '2' }], edited: [] });
  });

  test('is gone on with at the statement that failed, once the file is mended', async () => {
    const { folder } = await halfDone();
    await writeFile(join(folder, file), mended);
    const statements: number[] = [];

    const report = await deploy({
      database: url,
      folder,
      onEvent: (event) => event.type === 'statement' && statements.push(event.index),
    });

    expect(statements).toEqual([3, 4]);
    expect(report).toMatchObject({ applied: [{ file }], version: '1.1.0' });
    expect(await readEffects()).toEqual([1, 3, 4]);
    expect(
      await query(`select state, statement_digests from alteration_history where "timestamp" = '2'`),
    ).toEqual([{ state: 'applied', statement_digests: null }]);
    expect(await check({ database: url, folder })).toMatchObject({ result: 'up-to-date', edited: [] });
  });

  test('happens again when nothing is mended, and nothing is done twice', async () => {
    const { folder } = await halfDone();

    const error = await failureOf(deploy({ database: url, folder }));

    expect(error).toMatchObject({ statements: { done: 2, total: 4 } });
    expect(await readEffects()).toEqual([1]);
  });

  test.each([
    ['a statement is changed', mended.replace('values (1)', 'values (10)'), 1],
    ['a statement is put before them', mended.replace('vacuum', 'analyze effects;\nvacuum'), 2],
    ['a statement is taken away', mended.replace('insert into effects values (1);', ''), 1],
    ['only the first is left', '-- alteration: no-transaction\ninsert into effects values (1);', 2],
  ])('is not gone on with where, of what is done, %s', async (_, text, number) => {
    const { folder } = await halfDone();
    await writeFile(join(folder, file), text);

    const error = await failureOf(deploy({ database: url, folder }));

    expect(error).toBeInstanceOf(EditedError);
    expect(error).toMatchObject({ message: `Statement ${number} of "${file}" was edited after it was run.` });
    expect(await readEffects()).toEqual([1]);
  });

  test('may have its comments and line ends changed', async () => {
    const { folder } = await halfDone();
    const text = mended.replace('vacuum effects', '-- now\r\nvacuum effects').replaceAll('\n', '\r\n');
    await writeFile(join(folder, file), text);

    await deploy({ database: url, folder });

    expect(await readEffects()).toEqual([1, 3, 4]);
  });

  test.each([
    ['an SQL file with one', file, mended.replace('-- alteration: no-transaction\n', '')],
    [
      'a module',
      '1.1.0-2-steps.ts',
      moduleText('await connection.query(sql.unsafe`insert into effects values (1)`);'),
    ],
  ])('is not gone on with when the file becomes %s', async (_, name, text) => {
    const { folder } = await halfDone({ '1.1.0-3-later.sql': 'insert into effects values (5);' });
    await rm(join(folder, file));
    await writeFile(join(folder, name), text.replace('vacuum effects;', ''));

    const error = await failureOf(deploy({ database: url, folder }));

    expect(error).toBeInstanceOf(EditedError);
    expect(error).toMatchObject({
      message: `"${name}" is half done, and it no longer is a no-transaction file.`,
      problems: [{ file: name, message: expect.stringContaining('2 of its statements are done') }],
    });
    expect(await readEffects()).toEqual([1]);
    expect(await query(`select state from alteration_history where "timestamp" = '2'`)).toEqual([
      { state: 'started' },
    ]);
  });

  test.each([
    'set search_path = app',
    `select set_config('search_path', 'app', false)`,
    `SELECT pg_catalog.set_config('search_path', 'app', false)`,
  ])('keeps its settings when it is gone on with: %s', async (setting) => {
    const text = (third: string) => `-- alteration: no-transaction
create schema if not exists app;
${setting};
${third};
create table late (id int);`;
    const folder = await createFolder({ ...create, [file]: text('select 1 / 0') });
    await failureOf(deploy({ database: url, folder }));
    await writeFile(join(folder, file), text('create table early (id int)'));

    await deploy({ database: url, folder });

    const rows = await query(
      `select relname from pg_class where relnamespace = 'app'::regnamespace order by 1`,
    );
    expect(rows).toEqual([{ relname: 'early' }, { relname: 'late' }]);
  });

  test('of an index leaves a valid one in the end', async () => {
    const index = 'create unique index concurrently if not exists "Odd" on public.effects (id)';
    const folder = await createFolder({
      '1.0.0-1-create.sql': 'create table effects (id int); insert into effects values (1), (1);',
      [file]: `-- alteration: no-transaction\n${index};`,
    });

    const error = await failureOf(deploy({ database: url, folder }));
    await query('delete from effects where ctid = (select min(ctid) from effects)');
    await deploy({ database: url, folder });

    expect(error).toMatchObject({ statements: { done: 0, total: 1 }, database: { sqlState: '23505' } });
    expect(
      await query(
        `select indexrelid::regclass::text as name, indisvalid from pg_index where indrelid = 'effects'::regclass`,
      ),
    ).toEqual([{ name: '"Odd"', indisvalid: true }]);
  });

  test('refuses a rollback over it', async () => {
    const { folder } = await halfDone();

    const error = await failureOf(rollback({ database: url, folder, target: '1.0.0' }));

    expect(error).toBeInstanceOf(RollbackRefusedError);
    expect(error).toMatchObject({
      problems: [{ message: '"steps" (2) is half done; deploy it to its end first.' }],
    });
    expect(await readEffects()).toEqual([1]);
  });

  test('in its down stays: check and deploy refuse it, and the next rollback goes on', async () => {
    const down = (second: string) => `-- alteration: no-transaction
drop table pair;
${second};`;
    const names = { up: '1.1.0-2-pair.up.sql', down: '1.1.0-2-pair.down.sql' };
    const folder = await createFolder({
      ...create,
      [names.up]: 'create table pair ();',
      [names.down]: down('vacuum missing'),
    });
    await deploy({ database: url, folder });

    const error = await failureOf(rollback({ database: url, folder, target: '1.0.0' }));
    const between = await list({ database: url, folder });
    const checked = await check({ database: url, folder });
    const refusal = await failureOf(deploy({ database: url, folder }));
    await writeFile(join(folder, names.down), down('vacuum effects'));
    const report = await rollback({ database: url, folder, target: '1.0.0' });

    expect(error).toBeInstanceOf(AlterationHalfDoneError);
    expect(error).toMatchObject({
      alteration: names.up,
      phase: 'down',
      place: { file: names.down, line: 3 },
      statements: { done: 1, total: 2 },
      hint: expect.stringContaining('the next rollback goes on with statement 2'),
    });
    expect(between.alterations.map(({ state, statementsDone }) => [state, statementsDone])).toEqual([
      ['applied', null],
      ['applied', 1],
    ]);
    expect(checked).toMatchObject({ result: 'integrity', reverting: [{ id: '2' }] });
    expect(refusal).toMatchObject({
      code: 'history',
      problems: [{ message: expect.stringContaining('half rolled back') }],
    });
    expect(report.rolledBack.map(({ id }) => id)).toEqual(['2']);
    expect(await list({ database: url, folder })).toMatchObject({ version: '1.0.0' });
  });
});

describe('a failure in beforeUp', () => {
  test('leaves what it did, and it runs again from its start', async () => {
    const text = `import { sql } from 'slonik';
export default {
  beforeUp: async (connection) => {
    await connection.query(sql.unsafe\`insert into effects values (1)\`);
    await connection.query(sql.unsafe\`select from missing\`);
  },
  up: async (connection) => { await connection.query(sql.unsafe\`insert into effects values (2)\`); },
};`;
    const folder = await createFolder({ ...create, '1.1.0-2-before.ts': text });

    const error = await failureOf(deploy({ database: url, folder }));
    await query('create table missing ()');
    const report = await deploy({ database: url, folder });

    expect(error).toBeInstanceOf(AlterationHalfDoneError);
    expect(error).toMatchObject({
      message: expect.stringContaining('failed in beforeUp'),
      phase: 'beforeUp',
      statements: undefined,
      place: { line: 5 },
      hint: expect.stringContaining('must be re-runnable'),
    });
    expect(report.applied).toHaveLength(1);
    expect(await readEffects()).toEqual([1, 1, 2]);
  });

  test('leaves nothing of up when it is up that fails, and both run again', async () => {
    const text = `import { sql } from 'slonik';
export default {
  beforeUp: async (connection) => { await connection.query(sql.unsafe\`insert into effects values (1)\`); },
  up: async (connection) => {
    await connection.query(sql.unsafe\`insert into effects values (2)\`);
    await connection.query(sql.unsafe\`select from missing\`);
  },
};`;
    const folder = await createFolder({ ...create, '1.1.0-2-before.ts': text });

    const error = await failureOf(deploy({ database: url, folder }));
    const effects = await readEffects();

    expect(error).toMatchObject({ code: 'alteration-failed', phase: 'up' });
    expect(effects).toEqual([1]);
    await query('create table missing ()');
    await deploy({ database: url, folder });
    expect(await readEffects()).toEqual([1, 1, 2]);
  });
});

test('a file without a transaction may hold what commits by itself', async () => {
  const folder = await createFolder({
    ...create,
    [file]: `-- alteration: no-transaction
create procedure fill() language plpgsql as $$
begin
  for n in 1..3 loop
    insert into effects values (n);
    commit;
  end loop;
end
$$;
call fill();
do $$ begin insert into effects values (4); commit; end $$;
create database ${database.name}_other;
drop database ${database.name}_other;`,
  });

  const report = await deploy({ database: url, folder });

  expect(report.applied).toHaveLength(2);
  expect(await readEffects()).toEqual([1, 2, 3, 4]);
});
