-- A default that is not volatile (`now()` is stable) costs nothing, however many rows there are:
-- PostgreSQL stores it once and does not rewrite the table.
alter table users add column updated_at timestamptz not null default now();
alter table applications add column updated_at timestamptz not null default now();
alter table connectors add column updated_at timestamptz not null default now();

-- An alteration that rewrites rows is no change that a person made. It says
-- `set local identity.keep_updated_at = 'on'`, and the times stay as they are.
create function set_updated_at() returns trigger
language plpgsql
as $$
begin
  if current_setting('identity.keep_updated_at', true) is distinct from 'on' then
    new.updated_at := now();
  end if;
  return new;
end;
$$;

create trigger users_set_updated_at before update on users
  for each row execute function set_updated_at();
create trigger applications_set_updated_at before update on applications
  for each row execute function set_updated_at();
create trigger connectors_set_updated_at before update on connectors
  for each row execute function set_updated_at();
