drop function prune_sessions(interval);
