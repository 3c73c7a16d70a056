-- The schema as it was. The sessions that `up` deleted do not come back, and nobody will miss them.
alter table sessions
  drop constraint sessions_application_id_fkey,
  add constraint sessions_application_id_fkey
    foreign key (application_id) references applications (id) on delete cascade
    not valid;
