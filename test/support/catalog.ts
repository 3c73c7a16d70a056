/** What `readCatalog` needs of a connection; a `pg` Client has it. */
export interface CatalogConnection {
  query(text: string): Promise<{ readonly rows: readonly CatalogRow[] }>;
}

interface CatalogRow {
  /** `schema.name` of the table, view or sequence that the line is about, where it is about one. */
  readonly relation: string | null;
  readonly line: string;
}

/**
 * Everything in the database that somebody defined, as sorted lines of text: two databases with the same lines have
 * the same schema. Columns are told by name, not by their place in the table. Left out: owners, tablespaces, storage
 * settings, statistics, operators, casts, text search, publications, foreign servers, and what extensions bring.
 *
 * @param excluded Relations to leave out with all that belongs to them, as `schema.name`.
 */
export async function readCatalog(
  connection: CatalogConnection,
  excluded: readonly string[] = [],
): Promise<string[]> {
  // With an empty search path PostgreSQL qualifies every name, whatever the session's own path is.
  await connection.query(`
    select set_config('catalog.search_path', current_setting('search_path'), false),
      set_config('search_path', '', false)
  `);
  try {
    const lines: string[] = [];
    for (const text of queries) {
      const { rows } = await connection.query(text);
      for (const { relation, line } of rows) {
        if (relation === null || !excluded.includes(relation)) lines.push(line);
      }
    }
    return lines.sort();
  } finally {
    await connection.query(`select set_config('search_path', current_setting('catalog.search_path'), false)`);
  }
}

const isUserSchema = (schema: string): string =>
  `(${schema} !~ '^pg_' and ${schema} <> 'information_schema')`;

const isOwn = (catalog: string, oid: string): string => `
  not exists (
    select from pg_depend where classid = '${catalog}'::regclass and objid = ${oid} and deptype = 'e'
  )
`;

// Grants have no order of their own.
const grants = (acl: string): string => `
  coalesce(' grants ' || (select string_agg(item::text, ' ' order by item::text) from unnest(${acl}) as item), '')
`;

/** The tables, views and sequences that the other queries join. */
const relations = `
  (
    select c.*, c.oid as relid, format('%s.%s', n.nspname, c.relname) as relation
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where ${isUserSchema('n.nspname')} and ${isOwn('pg_class', 'c.oid')}
  )
`;

const schemas = `
  select null as relation, format('schema %s%s', nspname, ${grants('nspacl')}) as line
  from pg_namespace where ${isUserSchema('nspname')} and ${isOwn('pg_namespace', 'oid')}
`;

const extensions = `
  select null as relation, format('extension %s %s in %s', extname, extversion, extnamespace::regnamespace) as line
  from pg_extension
`;

const tables = `
  select relation, format(
    '%s %s persistence %s replica identity %s options %s%s%s%s%s',
    case relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'f' then 'foreign table'
      when 'v' then 'view' when 'm' then 'materialized view' when 'c' then 'composite type' end,
    relation, relpersistence, relreplident, reloptions,
    case when relrowsecurity then ' row security' else '' end,
    case when relforcerowsecurity then ' forced' else '' end,
    coalesce(' partition by ' || pg_get_partkeydef(relid), '')
      || coalesce(' inherits ' || (
        select string_agg(inhparent::regclass::text, ', ' order by inhseqno) from pg_inherits where inhrelid = relid
      ), '')
      || coalesce(' ' || pg_get_expr(relpartbound, relid), ''),
    ${grants('relacl')}
  ) as line
  from ${relations} as r where relkind in ('r', 'p', 'f', 'v', 'm', 'c')
`;

const viewDefinitions = `
  select relation, format('definition of view %s: %s', relation, pg_get_viewdef(relid)) as line
  from ${relations} as r where relkind in ('v', 'm')
`;

const columns = `
  select relation, format(
    'column %s.%s %s%s%s%s%s%s%s', relation, attname, format_type(atttypid, atttypmod),
    coalesce(' collate ' || nullif(attcollation, typcollation)::regcollation::text, ''),
    case when attnotnull then ' not null' else '' end,
    case when attgenerated = '' then coalesce(' default ' || pg_get_expr(adbin, adrelid), '') else '' end,
    case attidentity when 'a' then ' identity always' when 'd' then ' identity by default' else '' end,
    case when attgenerated = '' then '' else format(' generated %s (%s)', attgenerated, pg_get_expr(adbin, adrelid)) end,
    ${grants('attacl')}
  ) as line
  from ${relations} as r
  join pg_attribute on attrelid = relid and attnum > 0 and not attisdropped
  join pg_type t on t.oid = atttypid
  left join pg_attrdef on adrelid = attrelid and adnum = attnum
  where relkind in ('r', 'p', 'f', 'v', 'm', 'c')
`;

const constraints = `
  select relation, format('constraint %s on %s: %s', conname, relation, pg_get_constraintdef(c.oid)) as line
  from pg_constraint c join ${relations} as r on relid = conrelid
`;

const indexes = `
  select r.relation, format(
    'index %s%s%s%s: %s', i.relation,
    case when indisvalid then '' else ' INVALID' end,
    case when indisclustered then ' clustered' else '' end,
    case when indisreplident then ' replica identity' else '' end,
    pg_get_indexdef(indexrelid)
  ) as line
  from pg_index
  join ${relations} as r on r.relid = indrelid
  join ${relations} as i on i.relid = indexrelid
`;

const sequences = `
  select coalesce(owner.relation, s.relation) as relation, format(
    'sequence %s %s start %s by %s from %s to %s cache %s%s%s%s',
    s.relation, seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache,
    case when seqcycle then ' cycle' else '' end,
    coalesce(' owned by ' || owner.relation || '.' || attname, ''),
    ${grants('s.relacl')}
  ) as line
  from pg_sequence
  join ${relations} as s on s.relid = seqrelid
  left join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = seqrelid
    and d.refclassid = 'pg_class'::regclass and d.refobjsubid > 0 and d.deptype in ('a', 'i')
  left join ${relations} as owner on owner.relid = d.refobjid
  left join pg_attribute on attrelid = d.refobjid and attnum = d.refobjsubid
`;

const functions = `
  select null as relation, format(
    'function %s%s: %s', p.oid::regprocedure, ${grants('proacl')},
    case when prokind <> 'a' then pg_get_functiondef(p.oid) else (
      select format(
        'aggregate %s state %s by %s final %s initial %s',
        aggkind, aggtranstype::regtype, aggtransfn, aggfinalfn, agginitval
      )
      from pg_aggregate where aggfnoid = p.oid
    ) end
  ) as line
  from pg_proc p join pg_namespace n on n.oid = pronamespace
  where ${isUserSchema('nspname')} and ${isOwn('pg_proc', 'p.oid')}
`;

const triggers = `
  select relation, format('trigger %s (%s): %s', tgname, tgenabled, pg_get_triggerdef(t.oid)) as line
  from pg_trigger t join ${relations} as r on relid = tgrelid
  where not tgisinternal
  union all
  select null, format('event trigger %s (%s) on %s %s: %s', evtname, evtenabled, evtevent, evttags, evtfoid::regproc)
  from pg_event_trigger where ${isOwn('pg_event_trigger', 'oid')}
`;

const rules = `
  select relation, format('rule %s (%s): %s', rulename, ev_enabled, pg_get_ruledef(w.oid)) as line
  from pg_rewrite w join ${relations} as r on relid = ev_class
  where rulename <> '_RETURN'
`;

const policies = `
  select relation, format(
    'policy %s on %s %s for %s to %s using (%s) check (%s)', polname, relation,
    case when polpermissive then 'permissive' else 'restrictive' end, polcmd,
    array(select case role when 0 then 'public' else role::regrole::text end from unnest(polroles) as role order by 1),
    pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)
  ) as line
  from pg_policy join ${relations} as r on relid = polrelid
`;

const types = `
  select null as relation, format(
    '%s %s.%s%s%s',
    case typtype when 'e' then 'enum' when 'd' then 'domain' when 'c' then 'grants on composite' else 'range' end, nspname, typname,
    case typtype
      when 'e' then ' ' || array(select enumlabel::text from pg_enum where enumtypid = t.oid order by enumsortorder)::text
      when 'd' then format(
        ' %s%s%s %s', format_type(typbasetype, typtypmod), case when typnotnull then ' not null' else '' end,
        coalesce(' default ' || typdefault, ''),
        array(
          select format('%s %s', conname, pg_get_constraintdef(oid)) from pg_constraint where contypid = t.oid order by 1
        )
      )
      when 'r' then (select format(' of %s', rngsubtype::regtype) from pg_range where rngtypid = t.oid)
    end,
    ${grants('typacl')}
  ) as line
  from pg_type t join pg_namespace n on n.oid = typnamespace
  where (typtype in ('e', 'd', 'r') or exists (select from pg_class where oid = typrelid and relkind = 'c'))
    and ${isUserSchema('nspname')} and ${isOwn('pg_type', 't.oid')}
`;

const defaultGrants = `
  select null as relation, format(
    'default grants of %s in %s on %s%s', defaclrole::regrole, nullif(defaclnamespace, 0)::regnamespace,
    defaclobjtype, ${grants('defaclacl')}
  ) as line
  from pg_default_acl
`;

// What initdb made has an oid below 16384.
const comments = `
  select relation, format('comment on %s %s: %s', o.type, o.identity, description) as line
  from pg_description d
  cross join lateral pg_identify_object(d.classoid, d.objoid, d.objsubid) as o
  left join ${relations} as r on relid = case d.classoid
    when 'pg_class'::regclass then coalesce((select indrelid from pg_index where indexrelid = d.objoid), d.objoid)
    when 'pg_constraint'::regclass then (select conrelid from pg_constraint where oid = d.objoid)
    when 'pg_trigger'::regclass then (select tgrelid from pg_trigger where oid = d.objoid)
    when 'pg_policy'::regclass then (select polrelid from pg_policy where oid = d.objoid)
    when 'pg_rewrite'::regclass then (select ev_class from pg_rewrite where oid = d.objoid)
  end
  where d.objoid >= 16384 and not exists (
    select from pg_depend where classid = d.classoid and objid = d.objoid and deptype = 'e'
  )
`;

const queries = [
  schemas,
  extensions,
  tables,
  viewDefinitions,
  columns,
  constraints,
  indexes,
  sequences,
  functions,
  triggers,
  rules,
  policies,
  types,
  defaultGrants,
  comments,
];
