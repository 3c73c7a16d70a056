-- Reads the whole table, but under a lock that readers and writers do not notice.
alter table users validate constraint users_family_name_check;
