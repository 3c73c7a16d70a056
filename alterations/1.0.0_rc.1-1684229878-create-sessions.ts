import type { AlterationScript } from 'postgres-alteration';
import { sql } from 'slonik';

const alteration: AlterationScript = {
  up: async (transaction) => {
    await transaction.query(sql.unsafe`
      create table sessions (
        id text primary key,
        user_id uuid not null references users (id) on delete cascade,
        application_id uuid not null,
        payload jsonb not null default '{}',
        created_at timestamptz not null default now(),
        expires_at timestamptz not null,
        constraint sessions_expires_at_check check (expires_at > created_at)
      )
    `);
    await transaction.query(sql.unsafe`create index sessions_user_id_idx on sessions (user_id)`);
    await transaction.query(sql.unsafe`
      comment on column sessions.id is 'SHA-256 of the cookie: who reads this table cannot sign in with it.'
    `);
  },
  down: async (transaction) => {
    await transaction.query(sql.unsafe`drop table sessions`);
  },
};

export default alteration;
