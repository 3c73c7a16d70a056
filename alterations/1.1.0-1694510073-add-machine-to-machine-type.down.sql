-- There is no `drop value`: the type is made anew and the column moves over. That rewrites `applications`
-- under a lock, which is fine for a table of a few hundred rows.

-- The older type has no place for these, and to delete them is not for a rollback to decide.
do $$
begin
  if exists (select from applications where type = 'machine_to_machine') then
    raise exception 'There are applications of the type "machine_to_machine", which the older version does not know.'
      using hint = 'Delete them or give them another type, then roll back again.';
  end if;
end;
$$;

alter type application_type rename to application_type_newer;
create type application_type as enum ('web', 'spa', 'native');

-- The default is an expression of the newer type: it steps aside while the column changes.
alter table applications
  alter column type drop default,
  alter column type type application_type using type::text::application_type,
  alter column type set default 'web';

drop type application_type_newer;
