-- Contract: the last step of the split that 1.1.0 began. 1.2 neither reads nor writes `name`, so its pods, which
-- still run while this is deployed, do not miss it. From 1.1 or older the way goes by 1.2, or with a pause.
drop trigger users_sync_name on users;
drop function users_sync_name();

-- Only marks the column as gone; the rows keep their bytes until they are next written.
alter table users drop column name;
