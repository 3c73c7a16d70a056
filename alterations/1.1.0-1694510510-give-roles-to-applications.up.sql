-- What the new value is for: a machine signs in as itself, so it needs a secret and has roles of its own.
alter table applications
  add constraint applications_machine_secret_check
  check (type <> 'machine_to_machine' or secret_hash is not null);

create table applications_roles (
  application_id uuid not null references applications (id) on delete cascade,
  role_id uuid not null references roles (id) on delete cascade,
  constraint applications_roles_pkey primary key (application_id, role_id)
);

create index applications_roles_role_id_idx on applications_roles (role_id);
