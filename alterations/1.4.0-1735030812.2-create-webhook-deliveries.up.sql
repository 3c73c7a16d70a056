create table webhook_deliveries (
  id bigint generated always as identity primary key,
  webhook_id uuid not null references webhooks (id) on delete cascade,
  event text not null,
  payload jsonb not null,
  attempts integer not null default 0,
  next_attempt_at timestamptz default now(),
  created_at timestamptz not null default now()
);

comment on column webhook_deliveries.next_attempt_at is 'Null once it is delivered or given up.';

create index webhook_deliveries_webhook_id_idx on webhook_deliveries (webhook_id);

-- Partial: a worker only ever asks for what is due, which is a sliver of the table.
create index webhook_deliveries_due_idx on webhook_deliveries (next_attempt_at)
  where next_attempt_at is not null;
