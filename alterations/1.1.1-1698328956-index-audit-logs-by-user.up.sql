-- alteration: no-transaction
--
-- `concurrently` lets the product write while the index is built, and refuses to run inside a transaction. So each
-- statement stands for itself, and a run that failed half-way is run again: whatever is here has to stand that.
-- A build that fails leaves an invalid index behind, which `if not exists` would take for a finished one.
-- Hence the drop, which finds nothing the first time.
drop index concurrently if exists audit_logs_user_id_idx;

create index concurrently if not exists audit_logs_user_id_idx
  on audit_logs (user_id, id desc)
  where user_id is not null;
