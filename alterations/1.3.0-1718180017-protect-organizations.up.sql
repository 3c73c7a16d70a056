-- Row level security: the product says once a transaction for whom it works (`set local identity.user_id = '…'`),
-- and a query that forgets its `where` shows nobody else's organizations.
create function current_user_id() returns uuid
language sql stable
as $$
  select nullif(current_setting('identity.user_id', true), '')::uuid
$$;

-- Not `force`: the owner of the tables, who runs alterations, still sees every row. Otherwise a backfill would
-- silently do nothing. The product signs in as another role.
alter table organizations enable row level security;
alter table organization_members enable row level security;

create policy organization_members_see_own on organization_members
  for select using (user_id = current_user_id());

create policy organization_members_leave on organization_members
  for delete using (user_id = current_user_id() and membership <> 'owner');

create policy organizations_seen_by_members on organizations
  for select using (
    exists (
      select from organization_members as members
      where members.organization_id = organizations.id and members.user_id = current_user_id()
    )
  );

create policy organizations_changed_by_owners on organizations
  for update using (
    exists (
      select from organization_members as members
      where members.organization_id = organizations.id
        and members.user_id = current_user_id()
        and members.membership = 'owner'
    )
  );
