-- The identity column owns its sequence, so that goes too.
drop table audit_logs;
