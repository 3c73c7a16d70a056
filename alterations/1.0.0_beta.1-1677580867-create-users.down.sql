-- Comments, indexes and constraints go with their table.
drop table users;
