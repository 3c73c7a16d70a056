import { expect, test, vi } from 'vitest';
import type { TestDatabase } from '../support/database.ts';
import { library } from '../support/library.ts';
import { createLogtoDatabase, logto130, logto143, logtoScripts, scriptsBetween } from '../support/logto.ts';
import { fillLogtoTables } from '../support/logto-rows.ts';
import { rowsOf } from '../support/rows-of.ts';
import { schemaOf, withoutLayout } from '../support/schema-of.ts';

// One of the scripts does more where it finds itself in continuous integration, and undoes only part of it.
vi.stubEnv('CI', '');

const { baseline, check, deploy, rollback, logtoRows } = library;

async function createOldDatabase(): Promise<TestDatabase> {
  const database = await createLogtoDatabase(logto130);
  await fillLogtoTables(database);
  return database;
}

/** Options by the language that the folder is in. */
function optionsFor({ url }: TestDatabase, language: keyof typeof logtoScripts) {
  return { database: url, folder: logtoScripts[language], rows: logtoRows };
}

const files = (steps: readonly { readonly file: string }[]) => steps.map(({ file }) => file).sort();

test('Logto 1.30 becomes 1.43 by its own scripts, and 1.30 again', async () => {
  const database = await createOldDatabase();
  const options = optionsFor(database, 'typescript');
  const schema = await schemaOf(database);
  const rows = await rowsOf(database);
  const newer = await scriptsBetween('1.30.0');

  const recorded = await baseline({ ...options, target: '1.30.0' });
  expect(files(recorded.recorded)).toEqual(await scriptsBetween('0.0.0', '1.30.0'));

  const deployed = await deploy(options);
  expect(files(deployed.applied)).toEqual(newer);
  expect(await schemaOf(database)).toEqual(await schemaOf(await createLogtoDatabase(logto143)));
  expect(
    await database.query(`select tenant_id from logto_configs where key = 'idToken' order by 1`),
  ).toEqual([{ tenant_id: 'admin' }, { tenant_id: 'default' }]);

  const back = await rollback({ ...options, target: '1.30.0' });
  expect(files(back.rolledBack)).toEqual(newer);
  expect(await schemaOf(database)).toEqual(schema);
  expect(await rowsOf(database)).toEqual(rows);
});

test('scripts that were deployed as TypeScript are the same ones in JavaScript', async () => {
  const database = await createOldDatabase();
  await baseline({ ...optionsFor(database, 'typescript'), target: '1.30.0' });
  await deploy(optionsFor(database, 'typescript'));
  const compiled = optionsFor(database, 'javascript');
  expect(await check(compiled)).toMatchObject({ result: 'up-to-date', pending: [], edited: [], missing: [] });
  expect(await deploy(compiled)).toMatchObject({ applied: [], renamed: [], accepted: [], missing: [] });
});

test('Logto 1.30 goes down to 1.9.2 and up to 1.43 by its own scripts', async () => {
  const database = await createOldDatabase();
  const options = optionsFor(database, 'javascript');
  await baseline({ ...options, target: '1.30.0' });
  const down = await rollback({ ...options, target: '1.9.2' });
  expect(down.rolledBack).toHaveLength((await scriptsBetween('1.9.2', '1.30.0')).length);
  const up = await deploy(options);
  expect(up.applied).toHaveLength((await scriptsBetween('1.9.2')).length);
  const expected = await schemaOf(await createLogtoDatabase(logto143));
  expect(essentials(await schemaOf(database))).toEqual(essentials(expected));
});

/**
 * Leaves out what Logto's older scripts make unlike its table files: the layout of functions, the order of an enum's
 * values that were added one by one, and the names that not-null constraints keep when their table is renamed.
 */
function essentials(lines: readonly string[]): readonly string[] {
  const mended = lines.map((line) =>
    line
      .replace(/^constraint \S+ (?=on \S+: NOT NULL )/, 'constraint ')
      .replace(/(?<=^enum \S+ \{).*(?=\})/, (values) => values.split(',').sort().join()),
  );
  return withoutLayout(mended);
}
