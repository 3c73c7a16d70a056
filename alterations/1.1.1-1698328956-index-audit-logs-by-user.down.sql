-- alteration: no-transaction
drop index concurrently if exists audit_logs_user_id_idx;
