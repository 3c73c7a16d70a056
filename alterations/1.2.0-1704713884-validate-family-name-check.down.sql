-- A constraint cannot be made unvalidated again, but it can be replaced by one that is not.
alter table users
  drop constraint users_family_name_check,
  add constraint users_family_name_check check (family_name is null or given_name is not null) not valid;
