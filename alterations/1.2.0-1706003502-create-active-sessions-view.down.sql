drop view active_sessions;
