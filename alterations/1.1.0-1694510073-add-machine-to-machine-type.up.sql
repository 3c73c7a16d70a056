-- An alteration of its own: PostgreSQL does not let a transaction use an enum value that it added itself,
-- so whatever uses the value comes in the next one.
alter type application_type add value 'machine_to_machine';
