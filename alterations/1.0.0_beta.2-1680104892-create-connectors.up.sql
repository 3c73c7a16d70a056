-- Ways to sign in that other services provide. The shape of `config` is the connector's own affair.
create table connectors (
  id text primary key,
  is_enabled boolean not null default true,
  config jsonb not null default '{}',
  created_at timestamptz not null default now(),
  constraint connectors_config_check check (jsonb_typeof(config) = 'object')
);

comment on column connectors.id is 'Kebab-case name of the connector, for example `google`.';
