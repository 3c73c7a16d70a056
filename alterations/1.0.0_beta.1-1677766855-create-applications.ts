import type { AlterationScript } from 'postgres-alteration';
import { sql } from 'slonik';

// One statement a query: an error then points at the statement, not at a block of them.
const alteration: AlterationScript = {
  up: async (transaction) => {
    await transaction.query(sql.unsafe`create type application_type as enum ('web', 'spa', 'native')`);
    await transaction.query(sql.unsafe`
      create table applications (
        id uuid primary key default gen_random_uuid(),
        name text not null,
        type application_type not null default 'web',
        secret_hash text,
        redirect_uris text[] not null default '{}',
        created_at timestamptz not null default now()
      )
    `);
    await transaction.query(sql.unsafe`comment on table applications is 'What people sign in to.'`);
  },
  // The reverse order: the table uses the type.
  down: async (transaction) => {
    await transaction.query(sql.unsafe`drop table applications`);
    await transaction.query(sql.unsafe`drop type application_type`);
  },
};

export default alteration;
