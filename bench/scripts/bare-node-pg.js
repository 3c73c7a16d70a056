// The least that a runner on Node does when there is nothing to do.

import pg from 'pg';

const [action] = process.argv.slice(2);
if (action !== 'version') {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  await client.query('select number, name, applied_at from floor_history');
  await client.end();
}
