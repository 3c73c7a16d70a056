drop table applications_roles;

alter table applications drop constraint applications_machine_secret_check;
