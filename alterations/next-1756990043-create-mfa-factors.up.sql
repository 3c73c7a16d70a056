-- `next-`: on the main branch, in no release yet. `alteration release 1.5.0` gives it its version.
create table mfa_factors (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null references users (id) on delete cascade,
  kind text not null,
  secret jsonb not null,
  created_at timestamptz not null default now(),
  last_used_at timestamptz,
  constraint mfa_factors_kind_check check (kind in ('totp', 'webauthn', 'backup_code'))
);

create index mfa_factors_user_id_idx on mfa_factors (user_id);
