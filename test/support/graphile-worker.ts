// The migrations of graphile-worker: files with a placeholder for the schema, each run in a transaction of its own.

import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import pg from 'pg';

/** One migration, ready to run. */
export interface GraphileMigration {
  readonly number: number;
  readonly text: string;
}

export const graphileSchema = 'graphile_worker';

/** Each version of the history begins with this migration. */
const versions = [
  { version: '1.0.0', from: 1 },
  { version: '2.0.0', from: 6 },
  { version: '3.0.0', from: 11 },
  { version: '4.0.0', from: 16 },
];

/** What the package makes before its first migration; its own table of migrations is the runner's business. */
export const graphileBootstrap = `create schema ${graphileSchema};\n`;

/** The package's migrations in order, their placeholders filled in. */
export async function readGraphileMigrations(): Promise<readonly GraphileMigration[]> {
  const folder = resolve('node_modules/graphile-worker/sql');
  const files = (await readdir(folder)).filter((file) => /^\d{6}\.sql$/.test(file)).sort();
  return Promise.all(
    files.map(async (file) => ({
      number: Number.parseInt(file, 10),
      text: (await readFile(join(folder, file), 'utf8')).replaceAll(/:GRAPHILE_WORKER_SCHEMA\b/g, () =>
        pg.escapeIdentifier(graphileSchema),
      ),
    })),
  );
}

/** The same as alterations, by file name. */
export function graphileAlterations(migrations: readonly GraphileMigration[]): Record<string, string> {
  const files = migrations.map(({ number, text }) => {
    const version = versions.findLast(({ from }) => from <= number)?.version;
    return [`${version}-${1_600_000_000 + number}-migration-${number}.sql`, text] as const;
  });
  return { '1.0.0-1600000000-create-schema.sql': graphileBootstrap, ...Object.fromEntries(files) };
}
