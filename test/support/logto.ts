// Two releases of Logto's database: the tables that each installs, and the scripts that lead from one to the other.

import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import pg from 'pg';
import semver from 'semver';
import { inject } from 'vitest';
import { createDatabase, type TestDatabase } from './database.ts';
import { whenOver } from './when-over.ts';

/** Folders of the packages. */
export const logto130 = resolve('node_modules/logto-schemas-1.30');
export const logto143 = resolve('node_modules/@logto/schemas');

/** The scripts of the newer release, as they are published: TypeScript, and what it is compiled to. */
export const logtoScripts = {
  typescript: join(logto143, 'alterations'),
  javascript: join(logto143, 'alterations-js'),
};

/** Names of the scripts with a version above `after`, and up to `last` where it is given. */
export async function scriptsBetween(after: string, last?: string): Promise<readonly string[]> {
  const files = (await readdir(logtoScripts.typescript)).filter((file) => file.endsWith('.ts'));
  return files.filter((file) => {
    const version = file.slice(0, file.indexOf('-')).replace('_', '-');
    return semver.gt(version, after) && (!last || semver.lte(version, last));
  });
}

/**
 * A database with the tables of a Logto release, made as its README says: by `init_order`, then by name, and what is
 * to run before all, after each and after all of them. Its role for tenants goes with it.
 */
export async function createLogtoDatabase(release: string): Promise<TestDatabase> {
  const serverUrl = inject('serverUrl');
  let role: string | undefined;
  whenOver(async () => role && dropRole(serverUrl, role)); // given first: the database, which uses it, goes before
  const database = await createDatabase();
  role = `logto_tenant_${database.name}`;
  const scripts = await readTableScripts(release);
  const lifecycle = (moment: string) => scripts.get(`_${moment}`) ?? '';
  const run = (text: string, name = '') => {
    const values: Readonly<Record<string, string>> = { name, database: database.name, password: 'not used' };
    return database.query(text.replaceAll(/\$\{(\w+)\}/g, (_, key: string) => values[key] ?? ''));
  };
  await run(lifecycle('before_all'));
  for (const [name, text] of inOrder(scripts)) {
    await run(text.includes('no_after_each') ? text : `${text};\n${lifecycle('after_each')}`, name);
  }
  await run(lifecycle('after_all'));
  return database;
}

/** Texts by name: a file for each table, and the one table that the package describes in code. */
async function readTableScripts(release: string): Promise<ReadonlyMap<string, string>> {
  const folder = join(release, 'tables');
  const files = await readdir(folder);
  const texts = files.map(
    async (file) => [file.replace('.sql', ''), await readFile(join(folder, file), 'utf8')] as const,
  );
  const { Tenants }: typeof import('@logto/schemas/models') = await import(
    pathToFileURL(join(release, 'lib/models/index.js')).href
  );
  return new Map([...(await Promise.all(texts)), [Tenants.tableName, Tenants.raw]]);
}

function inOrder(scripts: ReadonlyMap<string, string>): readonly (readonly [string, string])[] {
  const order = (text: string) => Number(/init_order = ([\d.]+)/.exec(text)?.[1] ?? Number.POSITIVE_INFINITY);
  return [...scripts]
    .filter(([name]) => !/^_(?:before|after)_/.test(name))
    .sort(([leftName, left], [rightName, right]) =>
      order(left) === order(right) ? (leftName < rightName ? -1 : 1) : order(left) - order(right),
    );
}

async function dropRole(serverUrl: string, role: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  try {
    await client.query(`drop role if exists ${role}`);
  } finally {
    await client.end();
  }
}
