-- Null means that the user may sign in. A time says more than a boolean and costs no more.
alter table users add column suspended_at timestamptz;

comment on column users.suspended_at is 'Since when the user may not sign in; null if they may.';
