-- Nothing is lost: the trigger has kept `name` complete, whichever release wrote.
drop trigger users_sync_name on users;
drop function users_sync_name();

comment on column users.name is 'Full name, as the person writes it.';

alter table users
  drop column family_name,
  drop column given_name;
