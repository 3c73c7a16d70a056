// What docs/operating.md shows is what is run here: its SQL and its module, cut out of the page.

import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import pg from 'pg';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { failureOf } from '../support/failure-of.ts';
import { createFolder } from '../support/folder.ts';
import { library } from '../support/library.ts';

const { check, deploy, rollback, AlterationFailedError, AlterationHalfDoneError, RollbackRefusedError } =
  library;
const database = await createDatabase();
const { query, url } = database;
const guide = await readFile('docs/operating.md', 'utf8');
const blocks = new Map(
  [...guide.matchAll(/^```(?:sql|ts)\n(?:--|\/\/) (.+)\n([\s\S]*?)^```$/gm)].map(
    ([, title = '', text = '']) => [title, text],
  ),
);
const alterations = [...blocks].flatMap(([title, text]) => {
  const [, file] = /^alterations\/(.+)$/.exec(title) ?? [];
  return file === undefined ? [] : [[file, text] as const];
});

beforeEach(() => emptyDatabase(database));

const createGuidesFolder = () => createFolder(Object.fromEntries(alterations));

function blockNamed(title: string): string {
  const text = blocks.get(title);
  if (text === undefined) throw new Error(`The guide has no block that begins with "${title}".`);
  return text;
}

/** As the application of 1.3.0 does it. */
async function addCustomers(count: number) {
  await query(
    `insert into customers (mail) select 'c' || n || '@example.com' from generate_series(1, ${count}) n`,
  );
  await query(`insert into orders (customer_id, reference) select id, 'A' || id from customers`);
}

async function deployUpTo(version: string) {
  return deploy({ database: url, folder: await createGuidesFolder(), target: version });
}

const readFiles = () =>
  query<{ name: string; file: number }>(`
    select relname as name, pg_relation_filenode(oid) as file from pg_class
    where relnamespace = 'public'::regnamespace and relkind = 'r' and relname <> 'alteration_history' order by oid`);

test('every block of SQL or TypeScript in the guide says what it is', () => {
  expect(blocks.size).toBe(guide.match(/^```(?:sql|ts)$/gm)?.length);
});

describe('the history of the guide', () => {
  test('is deployed to an empty database in one go', async () => {
    const { applied, version } = await deployUpTo('latest');

    const ups = alterations.map(([file]) => file).filter((file) => !file.includes('.down.'));
    expect(applied.map(({ file }) => file)).toEqual(ups.sort());
    expect(version).toBe('2.0.0');
  });

  test('expands: the application of the release before goes on reading and writing', async () => {
    await deployUpTo('1.3.0');
    await addCustomers(2_500);
    await deployUpTo('1.4.0');

    await query(`insert into customers (mail) values ('old@example.com')`);
    await query(`update customers set mail = 'older@example.com' where id = 1`);
    await query(`insert into customers (email) values ('new@example.com')`);
    await query(`update customers set email = null where id = 2`);
    await query(`insert into orders (customer_id, reference) values (1, 'A0')`);

    expect(
      await query('select count(*)::int, count(*) filter (where mail = email)::int as alike from customers'),
    ).toEqual([{ count: 2_502, alike: 2_501 }]);
    expect(await query('select id::int, mail, email from customers where id in (1, 2) order by id')).toEqual([
      { id: 1, mail: 'older@example.com', email: 'older@example.com' },
      { id: 2, mail: null, email: null },
    ]);
    expect(await query('select count(*)::int, count(distinct token)::int as tokens from orders')).toEqual([
      { count: 2_501, tokens: 2_501 },
    ]);
  });

  test('contracts: the application of 1.4.0 goes on, and what 1.3.0 needed is gone', async () => {
    await deployUpTo('1.3.0');
    await addCustomers(10);
    await deployUpTo('1.5.0');

    await query(`insert into customers (email) values ('new@example.com')`);
    await query(`insert into orders (customer_id, reference) values (11, 'A11')`);

    expect(
      await query(`select customer_id::int, reference, currency from purchases where customer_id = 11`),
    ).toEqual([{ customer_id: 11, reference: 'A11', currency: 'EUR' }]);
    await expect(query(`insert into customers (email) values (null)`)).rejects.toMatchObject({
      code: '23502',
    });
    await expect(query(`select mail from customers`)).rejects.toMatchObject({ code: '42703' });
    await expect(
      query(`insert into orders (customer_id, reference) values (0, 'A12')`),
    ).rejects.toMatchObject({
      code: '23503',
    });
  });

  test('leaves constraints validated, indexes valid, and no table written anew', async () => {
    await deployUpTo('1.3.0');
    await addCustomers(10);
    const before = await readFiles();
    await deployUpTo('latest');

    const [customers, orders] = before;
    expect(await readFiles()).toEqual([customers, { ...orders, name: 'purchases' }]);
    expect(await query('select conname from pg_constraint where not convalidated')).toEqual([]);
    expect(await query('select indexrelid from pg_index where not indisvalid')).toEqual([]);
  });

  test('is refused by the release that needs another one in between, which is at its end then', async () => {
    await deployUpTo('1.3.0');
    await addCustomers(2);
    await query(`update orders set reference = 'R1' where id = 1`);

    const error = await failureOf(deployUpTo('latest'));

    expect(error).toBeInstanceOf(AlterationFailedError);
    expect(error).toMatchObject({
      message: '"2.0.0-1800000001-require-new-references.sql" failed: there are references of the old form.',
      database: { hint: expect.stringContaining('Deploy 1.7.0') },
    });
    const folder = await createGuidesFolder();
    expect(await check({ database: url, folder, target: '1.7.0' })).toMatchObject({ result: 'up-to-date' });
    await query(`update purchases set reference = 'A1' where id = 1`);
    expect(await deployUpTo('2.0.0')).toMatchObject({ version: '2.0.0' });
  });
});

describe('a rollback of the guide', () => {
  const backTo = async (target: string) =>
    rollback({ database: url, folder: await createGuidesFolder(), target });

  test('is refused as a whole where one has no down', async () => {
    await deployUpTo('1.7.0');

    const error = await failureOf(backTo('1.5.0'));

    expect(error).toBeInstanceOf(RollbackRefusedError);
    expect(error).toMatchObject({
      problems: [{ message: '"1.6.0-1780000001-drop-old-name-of-purchases.sql" has no down.' }],
    });
  });

  test('stops where it would lose what users have entered, and goes on when it is gone', async () => {
    await deployUpTo('1.7.0');
    await query(`insert into customers (email, language) values ('c1@example.com', 'de')`);

    const error = await failureOf(backTo('1.6.0'));

    expect(error).toMatchObject({
      message: expect.stringContaining('customers have chosen languages, which would be lost'),
    });
    expect(await query('select language from customers')).toEqual([{ language: 'de' }]);
    await query('update customers set language = null');
    expect(await backTo('1.6.0')).toMatchObject({ version: '1.6.0' });
  });
});

/** A statement for each row of the guide's table of changes. */
const changes: Readonly<Record<string, string>> = {
  'add a column, also with a constant default':
    "alter table things add column unit text not null default 'kg'",
  'add a column with a volatile default':
    'alter table things add column token uuid default gen_random_uuid()',
  '`add constraint … check … not valid`': 'alter table things add check (id > 0) not valid',
  '`validate constraint`': 'alter table things validate constraint positive',
  '`set not null` where a valid check proves it': 'alter table things alter column proven set not null',
  '`set not null` otherwise': 'alter table things alter column note set not null',
  '`add constraint … foreign key … not valid`':
    'alter table things add foreign key (id) references owners (id) not valid',
  '`create index`': 'create index on things (note)',
  '`add constraint … unique using index`': 'alter table things add unique using index things_code',
  '`varchar(n)` to a longer one, or to `text`': 'alter table things alter column code type text',
  'most other changes of type, such as `int` to `bigint`': 'alter table things alter column id type bigint',
  'drop a column': 'alter table things drop column note',
};

const levels = [
  'AccessShareLock',
  'RowShareLock',
  'RowExclusiveLock',
  'ShareUpdateExclusiveLock',
  'ShareLock',
  'ShareRowExclusiveLock',
  'ExclusiveLock',
  'AccessExclusiveLock',
];

/** What a statement does to the table: its strongest lock, whether the table is another file then, what the server says. */
async function observe(statement: string) {
  const client = new pg.Client({ connectionString: url });
  onTestFinished(() => client.end());
  const said: string[] = [];
  client.on('notice', ({ message = '' }) => said.push(message));
  await client.connect();
  await client.query('set client_min_messages = debug1');
  const readFile = async () =>
    (await client.query(`select pg_relation_filenode('things') as file`)).rows[0].file;
  const before = await readFile();
  await client.query('begin');
  await client.query(statement);
  const { rows } = await client.query<{ mode: string }>(
    `select mode from pg_locks where pid = pg_backend_pid() and relation = 'things'::regclass`,
  );
  const lock = levels[Math.max(...rows.map(({ mode }) => levels.indexOf(mode)))];
  return { lock, rewritten: (await readFile()) !== before, said: said.join('\n') };
}

describe("the guide's table of changes", () => {
  const concurrently = '`create index concurrently`';
  const rows = [
    ...(guide.split('### What is quick, and what is not')[1]?.split('\n### ')[0] ?? '').matchAll(
      /^\| (.+?) *\| ([A-Z ]+?) *\| (.+?) *\|$/gm,
    ),
  ].map(([, change = '', lock = '', held = '']) => ({ change, lock, held }));

  test('has a statement for each of its rows here, save for what is no part of a transaction', () => {
    expect(rows.map(({ change }) => change).filter((change) => change !== concurrently)).toEqual(
      Object.keys(changes),
    );
  });

  test.each(rows.filter(({ change }) => change !== concurrently))(
    'tells the lock of "$change", and whether the table is written anew',
    async ({ change, lock, held }) => {
      await query(`create table owners (id int primary key);
        create table things (id int, code varchar(10), note text default '', proven text default '',
          check (proven is not null));
        insert into things (id) values (1), (2);
        alter table things add constraint positive check (id > 0) not valid;
        create unique index things_code on things (code)`);

      const seen = await observe(changes[change] ?? '');

      expect(seen.lock?.toUpperCase()).toBe(`${lock.replaceAll(' ', '')}LOCK`);
      expect(seen.rewritten).toBe(held.includes('written anew'));
      if (change.includes('proves it'))
        expect(seen.said).toContain('existing constraints on column "things.proven"');
    },
  );
});

test('the roles of the guide let the application use what the deployer makes, and read the history', async () => {
  const suffix = randomBytes(8).toString('hex');
  const named = (text: string) => text.replaceAll(/\b(?:deployer|product)\b/g, (role) => `${role}_${suffix}`);
  onTestFinished(async () => {
    await query(
      named('drop owned by product cascade; drop owned by deployer cascade; drop role deployer, product'),
    );
  });
  const urlOf = (role: string) =>
    Object.assign(new URL(url), { username: named(role), password: 'secret' }).href;
  await query(named(blockNamed('once, by an administrator')));
  await query(named(`alter role deployer password 'secret'; alter role product password 'secret'`));
  const folder = await createGuidesFolder();

  await deploy({ database: urlOf('deployer'), folder, target: '1.5.0' });
  const deployer = new pg.Client({ connectionString: urlOf('deployer') });
  await deployer.connect();
  await deployer.query(named(blockNamed('after the first deploy, by the deployer')));
  await deployer.end();

  const product = new pg.Client({ connectionString: urlOf('product') });
  onTestFinished(() => product.end());
  await product.connect();
  await product.query(`insert into customers (email) values ('c1@example.com')`);
  await product.query(`insert into orders (customer_id, reference) values (1, 'A1')`);
  expect(await check({ database: urlOf('product'), folder, target: '1.5.0' })).toMatchObject({
    result: 'up-to-date',
  });
  await expect(product.query('delete from alteration_history')).rejects.toMatchObject({ code: '42501' });
  await expect(product.query('alter table customers add column x int')).rejects.toMatchObject({
    code: '42501',
  });
});

test('the queries of the guide tell the last deploy, and what is half-way', async () => {
  await deployUpTo('1.3.0');
  await query(`insert into customers (mail) values ('c1@example.com');
    insert into orders (customer_id, reference) values (1, 'A7'), (1, 'A7')`);

  const error = await failureOf(deployUpTo('1.4.0'));

  expect(error).toBeInstanceOf(AlterationHalfDoneError);
  const last = await query(blockNamed('the last deploy'));
  expect(last.map(({ name, state }) => [name, state])).toEqual([
    ['add-customers-email', 'applied'],
    ['fill-customers-email', 'applied'],
    ['add-orders-currency', 'applied'],
    ['add-orders-token', 'applied'],
    ['give-orders-tokens', 'applied'],
    ['link-orders-to-customers', 'applied'],
    ['validate-orders-customer', 'applied'],
    ['index-orders', 'started'],
  ]);
  expect(await query(blockNamed('what is half-way'))).toMatchObject([
    { name: 'index-orders', state: 'started', statements_done: 1 },
  ]);
});
