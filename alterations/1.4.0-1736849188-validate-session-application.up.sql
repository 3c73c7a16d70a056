-- Nobody can use a session of an application that is gone.
delete from sessions
where not exists (select from applications where applications.id = sessions.application_id);

alter table sessions validate constraint sessions_application_id_fkey;
