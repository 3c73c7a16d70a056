-- A body in standard SQL is parsed once, here, and PostgreSQL then knows that it needs `sessions`:
-- the table cannot be dropped under it.
create function prune_sessions(older_than interval) returns bigint
language sql
begin atomic
  with pruned as (
    delete from sessions where expires_at < now() - older_than returning 1
  )
  select count(*) from pruned;
end;

-- Everybody may call a new function until somebody says otherwise.
revoke execute on function prune_sessions(interval) from public;
