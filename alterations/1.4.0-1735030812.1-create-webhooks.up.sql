-- `.1` and `.2`: one change in two alterations that belong together, made in the same second.
create table webhooks (
  id uuid primary key default gen_random_uuid(),
  url text not null,
  events text[] not null,
  is_enabled boolean not null default true,
  created_at timestamptz not null default now(),
  constraint webhooks_url_check check (url like 'https://%'),
  constraint webhooks_events_check check (cardinality(events) > 0)
);
