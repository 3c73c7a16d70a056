-- The older version would let suspended users in again. Their sessions end, and a log keeps what the column knew.
insert into audit_logs (event, user_id, payload)
select 'user.suspension_lost', id, jsonb_build_object('suspendedAt', suspended_at)
from users
where suspended_at is not null;

delete from sessions
using users
where users.id = sessions.user_id and users.suspended_at is not null;

alter table users drop column suspended_at;
