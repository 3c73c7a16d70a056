import type { TestDatabase } from './database.ts';

/** Leaves nothing in a database but a schema `public`, so that one database serves all tests of a file. */
export async function emptyDatabase({ query }: TestDatabase): Promise<void> {
  await query(`
    do $$
    declare name text;
    begin
      for name in select nspname from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema' loop
        execute format('drop schema %I cascade', name);
      end loop;
      create schema public;
      grant usage on schema public to public;
    end
    $$
  `);
}
