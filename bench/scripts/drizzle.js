// Drizzle's migrator after its documentation.

import { drizzle } from 'drizzle-orm/node-postgres';
import { migrate } from 'drizzle-orm/node-postgres/migrator';
import pg from 'pg';

const [action] = process.argv.slice(2);
if (action !== 'version') {
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
  await migrate(drizzle({ client: pool }), { migrationsFolder: 'migrations' });
  await pool.end();
}
