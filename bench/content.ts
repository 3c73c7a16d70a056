// What a database holds, as a digest: two databases with the same one have the same schema and the same rows.

import { createHash } from 'node:crypto';
import type { Client } from 'pg';
import { readCatalog } from '../test/support/catalog.ts';
import { type Alteration, renderStatements } from './alteration.ts';
import type { Contestant } from './contestants/contestant.ts';
import { withClient } from './server.ts';

/** Told by the clock, and so another one in each database. */
const momentColumns = ['created_at'];
const tablesAQuery = 200;

export interface Content {
  readonly digest: string;
  /** Rows of the history. */
  readonly applied: number;
}

/** What the contestant has made of the database, without its own tables. */
export function readContent(url: string, contestant: Contestant): Promise<Content> {
  const { history, historyCondition = 'true', bookkeeping = [] } = contestant;
  const own = [history, ...bookkeeping];
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ applied: number }>(
      `select count(*)::int as applied from ${history} where ${historyCondition}`,
    );
    return { digest: await digestWithout(client, own), applied: rows[0]?.applied ?? 0 };
  });
}

/** What the alterations make of an empty database when nobody but the server has to do with them. */
export function readReference(url: string, alterations: readonly Alteration[]): Promise<Content> {
  return withClient(url, async (client) => {
    for (const { statements } of alterations) await client.query(renderStatements(statements));
    return { digest: await digestWithout(client, []), applied: alterations.length };
  });
}

/** All of the database with everybody's tables and moments. */
export function readEverything(url: string): Promise<string> {
  return withClient(url, async (client) =>
    toDigest([...(await readCatalog(client)), ...(await readRows(client, []))]),
  );
}

async function digestWithout(client: Client, relations: readonly string[]): Promise<string> {
  const schemas = new Set(relations.map((relation) => relation.split('.')[0]));
  schemas.delete('public');
  const catalog = await readCatalog(client, relations);
  const lines = catalog.filter((line) => {
    const [kind, name] = line.split(' ');
    return kind !== 'schema' || !schemas.has(name);
  });
  const rows = await readRows(client, momentColumns);
  return toDigest([...lines, ...rows.filter((line) => !relations.includes(line.split(' ')[0] ?? ''))]);
}

/** A line for each table: `schema.name` and a digest of its rows, without the columns of those names. */
async function readRows(client: Client, columns: readonly string[]): Promise<readonly string[]> {
  const { rows } = await client.query<{ relation: string }>(`
    select format('%I.%I', nspname, relname) as relation
    from pg_class c join pg_namespace n on n.oid = relnamespace
    where relkind = 'r' and nspname !~ '^pg_' and nspname <> 'information_schema'
    order by 1
  `);
  const lines: string[] = [];
  for (let start = 0; start < rows.length; start += tablesAQuery) {
    const queries = rows.slice(start, start + tablesAQuery).map(({ relation }) => digestOfTable(relation));
    const part = await client.query<{ line: string }>(queries.join(' union all '), [columns]);
    lines.push(...part.rows.map(({ line }) => line));
  }
  return lines;
}

function digestOfTable(relation: string): string {
  return `
    select '${relation} ' || coalesce(md5(string_agg(content, chr(10) order by content)), 'empty') as line
    from (select (to_jsonb(t) - $1::text[])::text as content from ${relation} as t) as contents
  `;
}

function toDigest(lines: readonly string[]): string {
  return createHash('sha256').update(lines.toSorted().join('\n')).digest('hex');
}
