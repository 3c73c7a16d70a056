drop table users_roles;
drop table roles;
