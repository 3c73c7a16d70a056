-- Columns are listed: `select *` is expanded once, here, and would not follow the table. And it holds on to every
-- column it names, so it names no more than support needs, or a later `drop column` would stumble over it.
create view active_sessions as
select sessions.id, sessions.user_id, sessions.application_id, sessions.created_at, sessions.expires_at
from sessions
join users on users.id = sessions.user_id
where sessions.expires_at > now() and users.suspended_at is null;

comment on view active_sessions is 'Sessions that still let somebody in.';
