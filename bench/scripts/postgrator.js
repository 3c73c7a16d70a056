// Postgrator after its README.

import pg from 'pg';
import Postgrator from 'postgrator';

const [action] = process.argv.slice(2);
if (action !== 'version') {
  const client = new pg.Client({ connectionString: process.env.DATABASE_URL });
  await client.connect();
  const postgrator = new Postgrator({
    migrationPattern: 'migrations/*',
    driver: 'pg',
    database: client.database,
    schemaTable: 'schemaversion',
    execQuery: (query) => client.query(query),
  });
  await postgrator.migrate();
  await client.end();
}
