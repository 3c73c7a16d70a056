drop trigger connectors_set_updated_at on connectors;
drop trigger applications_set_updated_at on applications;
drop trigger users_set_updated_at on users;

-- Never `cascade`: should something else have come to use the function, this has to fail rather than take it along.
drop function set_updated_at();

alter table connectors drop column updated_at;
alter table applications drop column updated_at;
alter table users drop column updated_at;
