import type { TestDatabase } from './database.ts';

/** Puts into Logto's tables what its scripts look for: two tenants, and in the second one what administers them. */
export async function fillLogtoTables({ query }: TestDatabase): Promise<void> {
  await query(tenants);
  await query(settings);
  await query(managementApis);
  await query(organizations);
}

const tenants = `
  insert into tenants (id, db_user, tag)
  values ('default', 'default_user', 'development'), ('admin', 'admin_user', 'production');
  insert into users (tenant_id, id, username) values ('admin', 'alice', 'alice');
  insert into applications (tenant_id, id, name, secret, type, oidc_client_metadata)
  values ('default', 'portal', 'Portal', 'secret', 'SPA', '{}'),
    ('default', 'worker', 'Worker', 'secret', 'MachineToMachine', '{}');
`;

const settings = `
  insert into sign_in_experiences (tenant_id, id, color, branding, language_info, sign_in, sign_up, mfa)
  select id, 'default', '{}', '{}', '{}', '{}', '{}', '{"factors": [], "policy": "UserControlled"}' from tenants;
  insert into account_centers (tenant_id, id, enabled) select id, 'default', false from tenants;
  insert into logto_configs (tenant_id, key, value)
  select id, key, value
  from tenants, (
    values ('adminConsole', '{"organizationCreated": false}'::jsonb),
      ('oidc.privateKeys', '[{"id": "1", "value": "private", "createdAt": 1}]'),
      ('oidc.cookieKeys', '[{"id": "2", "value": "cookie", "createdAt": 1}]')
  ) as config (key, value);
`;

const managementApis = `
  insert into resources (tenant_id, id, name, indicator)
  values ('admin', 'cloud-api', 'Cloud', 'https://cloud.logto.io/api'),
    ('admin', 'admin-api', 'Admin', 'https://admin.logto.app/api'),
    ('admin', 'default-api', 'Default', 'https://default.logto.app/api');
  insert into scopes (tenant_id, id, resource_id, name, description)
  values ('admin', 'admin-all', 'admin-api', 'all', ''),
    ('admin', 'default-all', 'default-api', 'all', ''),
    ('admin', 'send-sms', 'cloud-api', 'send:sms', ''),
    ('admin', 'send-email', 'cloud-api', 'send:email', ''),
    ('admin', 'create-affiliate', 'cloud-api', 'create:affiliate', ''),
    ('admin', 'manage-affiliate', 'cloud-api', 'manage:affiliate', '');
  insert into roles (tenant_id, id, name, description, type)
  values ('admin', 'tenant-application', 'tenantApplication', 'Applications of tenants', 'MachineToMachine');
`;

const organizations = `
  insert into organization_roles (tenant_id, id, name)
  values ('admin', 'admin', 'admin'), ('admin', 'collaborator', 'collaborator');
  insert into organization_scopes (tenant_id, id, name)
  select 'admin', id, replace(id, '-', ':')
  from unnest(array[
    'read-data', 'write-data', 'delete-data', 'read-member', 'invite-member', 'remove-member', 'update-member-role',
    'manage-tenant'
  ]) as id;
  insert into organizations (tenant_id, id, name) values ('admin', 't-admin', 'Administrators');
  insert into organization_user_relations (tenant_id, organization_id, user_id) values ('admin', 't-admin', 'alice');
  insert into organization_role_user_relations (tenant_id, organization_id, organization_role_id, user_id)
  values ('admin', 't-admin', 'admin', 'alice');
`;
