import pg from 'pg';
import { readCatalog } from '../support/catalog.ts';
import type { ChaosAlteration } from './alteration-texts.ts';

/** A database that histories are deployed to. */
export interface ChaosDatabase {
  readonly name: string;
  readonly query: Query;
}

export type Query = <Row extends pg.QueryResultRow>(text: string, values?: unknown[]) => Promise<Row[]>;

const connectLimitMs = 10_000;
const queryLimitMs = 30_000;

/** Runs SQL on a connection of its own, within limits. */
export async function runQuery<Row extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: unknown[] = [],
): Promise<Row[]> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<Row>(text, ...(values.length > 0 ? [values] : []));
    return rows;
  });
}

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: connectLimitMs,
    query_timeout: queryLimitMs,
  });
  client.on('error', () => undefined); // the server may be restarted under it; the query under way tells
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

export function urlOf(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.href;
}

/**
 * Creates a database with all that alterations of random histories stand on. In a `calm` one naps take no time: it
 * shows what comes of a history that nobody disturbs.
 */
export async function createChaosDatabase(
  serverUrl: string,
  name: string,
  mood: 'calm' | 'disturbed',
  alterations: readonly ChaosAlteration[],
): Promise<ChaosDatabase> {
  await runQuery(serverUrl, `create database ${name}`);
  if (mood === 'calm') await runQuery(serverUrl, `alter database ${name} set chaos.calm = 'on'`);
  const url = urlOf(serverUrl, name);
  await runQuery(url, [ground, ...alterations.map(groundOf)].join('\n'));
  return { name, query: (text, values) => runQuery(url, text, values) };
}

export async function dropChaosDatabase(serverUrl: string, { name }: ChaosDatabase): Promise<void> {
  await runQuery(serverUrl, `drop database if exists ${name} with (force)`);
}

// The trigger has transactions that are at their commit last a little too.
const ground = `
  create schema chaos;
  create table chaos.effects (alteration text not null, direction text not null, step text not null);
  create table chaos.faults (fault text primary key, counted bool not null, times int not null);
  create function chaos.nap(seconds float8) returns void language plpgsql as $$
  begin
    if pg_catalog.current_setting('chaos.calm', true) = 'on' then return; end if;
    perform pg_catalog.pg_sleep(seconds);
  end $$;
  create function chaos.slow(n int) returns int language plpgsql immutable as $$
  begin
    perform chaos.nap(0.001);
    return n;
  end $$;
  create function chaos.stumble(name text) returns void language plpgsql as $$
  declare
    found chaos.faults;
  begin
    select * into found from chaos.faults where fault = name;
    if found.fault is null then return; end if;
    if found.counted and nextval('chaos.attempts_' || name) > found.times then return; end if;
    raise exception 'fails on purpose';
  end $$;
  create function chaos.linger() returns trigger language plpgsql as $$
  begin
    perform chaos.nap(0.004);
    return null;
  end $$;
  create constraint trigger linger after insert on chaos.effects
    deferrable initially deferred for each row execute function chaos.linger();
  create table counters (n int primary key, total int not null default 0);
  insert into counters select n from generate_series(1, 20) as n;
  create table entries (n int not null);
  insert into entries select n from generate_series(1, 60) as n;
  create index entries_slow on entries (chaos.slow(n));
  create table readings (fault text not null, value int not null);
  create table backfilled (alteration text, n int, primary key (alteration, n));
  create table parted (n bigint not null) partition by list (n);
`;

function groundOf({ id, fault }: ChaosAlteration): string {
  if (!fault) return '';
  return `
    create sequence chaos.attempts_${id};
    insert into readings select '${id}', n from generate_series(1, 20) as n;`;
}

/** Has alterations fail on purpose. */
export async function armFaults(
  { query }: ChaosDatabase,
  alterations: readonly ChaosAlteration[],
): Promise<void> {
  for (const { id, fault } of alterations) {
    if (fault?.kind === 'duplicates') await query('insert into readings values ($1, 1)', [id]);
    else if (fault) {
      await query('insert into chaos.faults values ($1, $2, $3)', [
        id,
        fault.kind === 'attempts',
        fault.times,
      ]);
    }
  }
}

/** Does what somebody would do about alterations that failed. */
export async function mendFaults({ query }: ChaosDatabase, ids: readonly string[]): Promise<void> {
  await query('delete from chaos.faults where fault = any ($1)', [[...ids]]);
  const kept = 'select min(ctid) as kept, fault, value from readings group by fault, value';
  await query(
    `delete from readings as r using (${kept}) as k
    where (r.fault, r.value) = (k.fault, k.value) and r.ctid <> k.kept and r.fault = any ($1)`,
    [[...ids]],
  );
}

/** What is in a database, as lines of text: two with the same lines have come to the same. */
export async function readPicture(serverUrl: string, { name, query }: ChaosDatabase): Promise<string[]> {
  const catalog = await withClient(urlOf(serverUrl, name), (client) =>
    readCatalog(client, ['public.alteration_history']),
  );
  const tables = await query<{ name: string }>(`
    select quote_ident(tablename) as name from pg_tables
    where schemaname = 'public' and tablename <> 'alteration_history' order by 1`);
  const parts = tables.map(
    ({ name }) => `select format('%s %s', '${name}', to_jsonb(t)) as line from public.${name} as t`,
  );
  const rows = await query<{ line: string }>(parts.join(' union all '));
  return [...catalog, ...rows.map(({ line }) => line).sort(), ...(await readHistoryLines(query))];
}

async function readHistoryLines(query: Query): Promise<string[]> {
  const [{ there } = { there: false }] = await query<{ there: boolean }>(
    `select to_regclass('public.alteration_history') is not null as there`,
  );
  if (!there) return [];
  const rows = await query<{ line: string }>(`
    select format('history %s %s %s %s %s %s', "timestamp", version, name, checksum, state, statement_digests) as line
    from alteration_history order by 1`);
  return rows.map(({ line }) => line);
}
