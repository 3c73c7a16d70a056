-- The people who sign in. What the product never searches by lives in `profile`.
--
-- Constraints get names here rather than from PostgreSQL: later alterations, and every `down`, refer to them.
create table users (
  id uuid primary key default gen_random_uuid(),
  username text,
  primary_email text,
  name text,
  password_hash text,
  profile jsonb not null default '{}',
  created_at timestamptz not null default now(),
  constraint users_username_key unique (username)
);

comment on table users is 'The people who sign in.';
comment on column users.name is 'Full name, as the person writes it.';
