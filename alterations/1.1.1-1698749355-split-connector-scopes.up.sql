-- `{ "scope": "openid email" }` becomes `{ "scopes": ["openid", "email"] }`. There are a few dozen connectors: one
-- statement does it. See 1.4.0 for the same on a large table.
set local identity.keep_updated_at = 'on';

update connectors
set config = config - 'scope' || jsonb_build_object(
  'scopes', to_jsonb(array_remove(regexp_split_to_array(config ->> 'scope', '\s+'), ''))
)
-- Only what has the expected shape: an odd value stays as it is, for a person to look at.
where jsonb_typeof(config -> 'scope') = 'string';
