import { beforeEach, describe, expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder } from '../support/folder.ts';
import { library } from '../support/library.ts';
import { moduleText } from '../support/module-text.ts';

const { deploy, rollback } = library;
const database = await createDatabase();
const { query, url } = database;

beforeEach(() => emptyDatabase(database));

const rows = () => query('select "timestamp" from alteration_history order by 1');
const existing = async (name: string) =>
  (await query(`select from pg_class where relname = '${name}'`)).length > 0;

describe('a SQL alteration, whose statements, row and commit are sent together', () => {
  test.each([
    ['select $1;', 1, 8],
    ['create table made ();\nselect 1,\n  $2;', 3, 3],
    ["create table made ();\nselect 'a'::int;", 2, 8],
    ['create table made ();\nselect 1 / 0;', 2, 1],
  ])('tells the place of what fails, and leaves nothing: %s', async (text, line, column) => {
    const folder = await createFolder({ '1.0.0-1-make.sql': text });

    const error = await failureOf(deploy({ database: url, folder }));

    expect(error).toMatchObject({ code: 'alteration-failed', place: { line, column } });
    expect(await existing('made')).toBe(false);
    expect(await rows()).toEqual([]);
  });

  test('may hold a function whose text looks like placeholders', async () => {
    const folder = await createFolder({
      '1.0.0-1-make.sql': `create table made (); create function twice(int) returns int language sql as 'select $1 * 2';
        create table more as select twice(4) as eight;`,
    });

    await deploy({ database: url, folder });

    expect(await query('select eight from more')).toEqual([{ eight: 8 }]);
    expect(await rows()).toHaveLength(1);
  });

  test('keeps nothing of the rows that its statements give', async () => {
    const large = `select repeat('x', 1000) from generate_series(1, 40000);\n`;
    const folder = await createFolder({ '1.0.0-1-large.sql': large.repeat(12) });

    const run = await runCli(['deploy', '--dir', folder], {
      env: { DB_URL: url, NODE_OPTIONS: '--max-old-space-size=128' },
    });

    expect(run).toMatchObject({ exitCode: 0 });
    expect(await rows()).toHaveLength(1);
  });

  test('is applied when a listener throws while it is under way; the run ends then, with what was thrown', async () => {
    const folder = await createFolder({
      '1.0.0-1-make.sql': 'create table made (); select 1;',
      '1.0.0-2-more.sql': 'create table more ();',
    });
    const onEvent = ({ type }: { readonly type: string }) => {
      if (type === 'statement') throw new Error('a listener of the caller');
    };

    const error = await failureOf(deploy({ database: url, folder, onEvent }));

    expect(error).toMatchObject({ message: 'a listener of the caller' });
    expect(await rows()).toEqual([{ timestamp: '1' }]);
    expect(await existing('more')).toBe(false);
  });

  test('is ended by what a module before it left running, and that is what is told', async () => {
    const folder = await createFolder({
      '1.0.0-1-leave.js': `export default { up: async () => { setTimeout(() => { throw new Error('later'); }, 300); } };`,
      '1.0.0-2-long.sql': 'create table made (); select pg_sleep(20);',
    });

    const { exitCode, stderr } = await runCli(['deploy', '--dir', folder], { env: { DB_URL: url } });

    expect(exitCode).toBe(4);
    expect(stderr).toContain('later');
    expect(await rows()).toEqual([{ timestamp: '1' }]);
    expect(await existing('made')).toBe(false);
  });
});

describe('the row of an alteration', () => {
  test('goes with a rollback where the table has rules', async () => {
    const folder = await createFolder({
      '1.0.0-1-make.up.sql': 'create table made ();',
      '1.0.0-1-make.down.sql': 'drop table made;',
    });
    await deploy({ database: url, folder });
    await query(`create table audit (name text);
      create rule audit as on delete to alteration_history do also insert into audit values (old.name)`);

    await rollback({ database: url, folder, target: '0.0.0' });

    expect(await rows()).toEqual([]);
    expect(await query('select name from audit')).toEqual([{ name: 'make' }]);
  });

  test('that does not go keeps its alteration', async () => {
    const folder = await createFolder({
      '1.0.0-1-make.up.sql': 'create table made ();',
      '1.0.0-1-make.down.sql': 'drop table made;',
    });
    await deploy({ database: url, folder });
    await query('create rule keep as on delete to alteration_history do instead nothing');

    const error = await failureOf(rollback({ database: url, folder, target: '0.0.0' }));

    expect(error).toMatchObject({ code: 'history' });
    expect(await existing('made')).toBe(true);
  });

  test.each([
    ['return null', /recorded as applied by somebody else/],
    ['perform 1 / 0; return new', /division by zero/],
  ])('that cannot be written keeps its alteration from being applied: %s', async (body, message) => {
    await deploy({ database: url, folder: await createFolder({ '1.0.0-1-first.sql': 'select 1;' }) });
    await query(`create function refuse() returns trigger language plpgsql as $$ begin ${body}; end $$;
      create trigger refuse before insert on alteration_history for each row execute function refuse()`);
    // An operator of its own does not hide that no row was written.
    await query(`create schema m; create function m.yes(bigint, int) returns boolean language sql as 'select true';
      create operator m.= (leftarg = bigint, rightarg = int, function = m.yes)`);
    const folder = await createFolder({
      '1.0.0-1-first.sql': 'select 1;',
      '1.0.0-2-make.sql': 'set search_path = m, pg_catalog, public; create table public.made ();',
    });

    const error = await failureOf(deploy({ database: url, folder }));

    expect(error).toMatchObject({ code: 'history', message: expect.stringMatching(message) });
    expect(await existing('made')).toBe(false);
    expect(await rows()).toEqual([{ timestamp: '1' }]);
  });
});

test('a query that a module does not wait for is done before the nested transaction behind it', async () => {
  const body = `connection.query(sql.unsafe\`create table made ()\`);
    await connection.transaction((nested) => nested.query(sql.unsafe\`create table nested ()\`));`;
  const folder = await createFolder({ '1.0.0-1-make.ts': moduleText(body) });

  await deploy({ database: url, folder });

  expect([await existing('made'), await existing('nested')]).toEqual([true, true]);
});
