// Kysely's migrator after its documentation.

import { promises as fs } from 'node:fs';
import path from 'node:path';
import { Kysely, PostgresDialect } from 'kysely';
import { FileMigrationProvider, Migrator } from 'kysely/migration';
import pg from 'pg';

const [action] = process.argv.slice(2);
if (action !== 'version') {
  const db = new Kysely({
    dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: process.env.DATABASE_URL }) }),
  });
  const migrator = new Migrator({
    db,
    provider: new FileMigrationProvider({ fs, path, migrationFolder: path.resolve('migrations') }),
  });
  if (action === 'list') {
    for (const { name, executedAt } of await migrator.getMigrations()) {
      process.stdout.write(`${executedAt ? 'applied' : 'pending'} ${name}\n`);
    }
  } else {
    const { error, results } = await migrator.migrateToLatest();
    for (const { status, migrationName } of results ?? [])
      process.stdout.write(`${status} ${migrationName}\n`);
    if (error) {
      process.stderr.write(`${error}\n`);
      process.exitCode = 1;
    }
  }
  await db.destroy();
}
