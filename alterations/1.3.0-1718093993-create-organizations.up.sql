create table organizations (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  created_at timestamptz not null default now()
);

-- Text with a check where the list may change: to alter a check is easier than to take a value out of an enum.
create table organization_members (
  organization_id uuid not null references organizations (id) on delete cascade,
  user_id uuid not null references users (id) on delete cascade,
  membership text not null default 'member',
  joined_at timestamptz not null default now(),
  constraint organization_members_pkey primary key (organization_id, user_id),
  constraint organization_members_membership_check check (membership in ('owner', 'member'))
);

create index organization_members_user_id_idx on organization_members (user_id);
