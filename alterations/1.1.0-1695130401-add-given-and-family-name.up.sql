-- Expand: `users.name` becomes `given_name` and `family_name` in steps, so that no release ever meets a schema that
-- it cannot work with. While pods of 1.0 and 1.1 run side by side, 1.0 knows only the old column.
--
--   1.1.0  this, then a backfill   both are there, and the trigger keeps them alike
--   1.2.0                          the product reads and writes the new columns only
--   1.3.0  drop-users-name         the old one goes: nothing uses it any more
alter table users
  add column given_name text,
  add column family_name text;

comment on column users.name is 'Superseded by given_name and family_name; a trigger keeps them alike.';

create function users_sync_name() returns trigger
language plpgsql
as $$
begin
  if new.given_name is distinct from old.given_name or new.family_name is distinct from old.family_name then
    -- Written by a release that knows the new columns.
    new.name := nullif(concat_ws(' ', new.given_name, new.family_name), '');
  elsif new.name is distinct from old.name or (new.given_name is null and new.family_name is null) then
    -- Written by a release that does not, or not filled in yet: the first word, and the rest.
    new.given_name := substring(new.name from '^\s*(\S+)');
    new.family_name := substring(new.name from '^\s*\S+\s+(\S.*)$');
  end if;
  return new;
end;
$$;

-- In an insert `old` is null, and both branches hold for it just the same.
create trigger users_sync_name before insert or update on users
  for each row execute function users_sync_name();
