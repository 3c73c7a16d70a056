set local identity.keep_updated_at = 'on';

update connectors
set config = config - 'scopes' || jsonb_build_object(
  'scope', (
    select coalesce(string_agg(scope, ' ' order by position), '')
    from jsonb_array_elements_text(config -> 'scopes') with ordinality as list (scope, position)
  )
)
where jsonb_typeof(config -> 'scopes') = 'array';
