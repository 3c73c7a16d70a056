-- First the column and what belongs into it, then the trigger, so that it has nothing to do with the update.
-- The update writes every row in one transaction; on a very large table it would go into batches in `beforeDown`.
alter table users add column name text;

comment on column users.name is 'Superseded by given_name and family_name; a trigger keeps them alike.';

set local identity.keep_updated_at = 'on';

update users
set name = concat_ws(' ', given_name, family_name)
where given_name is not null;

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

create trigger users_sync_name before insert or update on users
  for each row execute function users_sync_name();
