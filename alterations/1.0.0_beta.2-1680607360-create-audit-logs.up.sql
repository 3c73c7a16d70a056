-- What happened. `user_id` is no foreign key on purpose: a log outlives the user it tells of.
create table audit_logs (
  id bigint generated always as identity primary key,
  event text not null,
  user_id uuid,
  payload jsonb not null default '{}',
  created_at timestamptz not null default now()
);

-- Rows arrive in order of time and never change: the case for BRIN, which costs next to nothing to keep.
create index audit_logs_created_at_idx on audit_logs using brin (created_at);
