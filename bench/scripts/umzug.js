// Umzug after its documentation: SQL files by a `resolve` function, and a storage in the database itself.

import { readFileSync } from 'node:fs';
import pg from 'pg';
import { Umzug } from 'umzug';

const [action] = process.argv.slice(2);
if (action !== 'version') {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  const umzug = new Umzug({
    migrations: {
      glob: 'migrations/*.up.sql',
      resolve: ({ name, path, context }) => ({
        name,
        up: async () => context.query(readFileSync(path).toString()),
      }),
    },
    context: client,
    storage: {
      async executed({ context }) {
        await context.query('create table if not exists umzug_migrations (name text primary key)');
        const { rows } = await context.query('select name from umzug_migrations order by name');
        return rows.map(({ name }) => name);
      },
      async logMigration({ name, context }) {
        await context.query('insert into umzug_migrations (name) values ($1)', [name]);
      },
      async unlogMigration({ name, context }) {
        await context.query('delete from umzug_migrations where name = $1', [name]);
      },
    },
    logger: console,
  });
  if (action === 'list') {
    for (const { name } of await umzug.executed()) process.stdout.write(`applied ${name}\n`);
    for (const { name } of await umzug.pending()) process.stdout.write(`pending ${name}\n`);
  } else {
    await umzug.up();
  }
  await client.end();
}
