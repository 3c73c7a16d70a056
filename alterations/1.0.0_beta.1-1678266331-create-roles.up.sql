create table roles (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  description text not null default '',
  constraint roles_name_key unique (name)
);

create table users_roles (
  user_id uuid not null references users (id) on delete cascade,
  role_id uuid not null references roles (id) on delete cascade,
  constraint users_roles_pkey primary key (user_id, role_id)
);

-- The primary key serves "roles of a user". Deleting a role asks the other way round, and PostgreSQL does not
-- index the referencing side of a foreign key by itself. The table is new and empty, so a plain index will do.
create index users_roles_role_id_idx on users_roles (role_id);
