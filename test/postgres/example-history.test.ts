import { readdir } from 'node:fs/promises';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readCatalog } from '../support/catalog.ts';
import { createDatabase } from '../support/database.ts';
import { emptyDatabase } from '../support/empty-database.ts';
import { library } from '../support/library.ts';

const { check, deploy, list, rollback, deployReportSchema, rollbackReportSchema } = library;
const database = await createDatabase();
const { query, url } = database;
const options = { database: url, folder: 'alterations' };
const client = new pg.Client({ connectionString: url });

/** Oldest first, `next` last. */
const versions = [...new Set((await list(options)).alterations.map(({ version }) => version))];
const released = versions.filter((version) => version !== 'next');
const downwards = ['0.0.0', ...versions].toReversed();

/** The catalog at each version, as a deploy of one version after the other brings it about. */
const catalogs = new Map<string, readonly string[]>();

const readSchema = () => readCatalog(client, ['public.alteration_history']);

beforeAll(async () => {
  await emptyDatabase(database);
  await client.connect();
  catalogs.set('0.0.0', await readSchema());
  for (const version of versions) {
    await deploy({ ...options, target: version });
    catalogs.set(version, await readSchema());
  }
});

beforeEach(() => emptyDatabase(database));

afterAll(() => client.end());

describe('the example history', () => {
  test('has as many alterations and versions as it is meant to show', async () => {
    const { alterations } = await list(options);

    expect(released.length).toBeGreaterThanOrEqual(8);
    expect(released.at(0)).toBe('1.0.0-beta.1');
    expect(released.at(-1)).toBe('1.4.0');
    expect(alterations.filter(({ version }) => version !== 'next').length).toBeGreaterThanOrEqual(24);
    expect(alterations.filter(({ version }) => version === 'next')).toHaveLength(2);
    expect((await readdir('alterations')).length).toBeGreaterThan(alterations.length);
  });

  test('changes the schema with nearly every version', () => {
    const texts = versions.map((version) => catalogs.get(version)?.join('\n'));

    expect(new Set(texts).size).toBe(versions.length);
  });

  test('comes to the same schema in one deploy as version by version', async () => {
    await deploy({ ...options, target: 'next' });

    expect(await readSchema()).toEqual(catalogs.get('next'));
  });

  test('is rolled back version by version to the schema of each, and comes up again', async () => {
    await deploy({ ...options, target: 'next' });

    for (const version of downwards.slice(1)) {
      await rollback({ ...options, target: version });
      expect({ version, schema: await readSchema() }).toEqual({ version, schema: catalogs.get(version) });
    }
    for (const version of versions) {
      await deploy({ ...options, target: version });
      expect({ version, schema: await readSchema() }).toEqual({ version, schema: catalogs.get(version) });
    }
  });

  test('is rolled back at once to the schema of nothing', async () => {
    await deploy({ ...options, target: 'next' });

    const report = await rollback({ ...options, target: '0.0.0' });

    expect(report).toMatchObject({ version: null, versionBefore: 'next' });
    expect(await readSchema()).toEqual(catalogs.get('0.0.0'));
    expect(await query('select from alteration_history')).toEqual([]);
  });

  test('goes wherever it is asked to', async () => {
    const reports = [
      deployReportSchema.parse(await deploy({ ...options, target: '1.1.0' })),
      deployReportSchema.parse(await deploy({ ...options, target: '1.2.0' })),
      deployReportSchema.parse(await deploy({ ...options, target: 'latest' })),
      rollbackReportSchema.parse(await rollback({ ...options, target: '1.1.0' })),
      deployReportSchema.parse(await deploy({ ...options, target: 'next' })),
    ];

    const schema = await readSchema();
    expect(reports.map(({ versionBefore, version }) => [versionBefore, version])).toEqual([
      [null, '1.1.0'],
      ['1.1.0', '1.2.0'],
      ['1.2.0', '1.4.0'],
      ['1.4.0', '1.1.0'],
      ['1.1.0', 'next'],
    ]);
    expect(schema).toEqual(catalogs.get('next'));
    expect(await check({ ...options, target: 'next' })).toMatchObject({ result: 'up-to-date', edited: [] });
  });
});

describe('the rows of its users', () => {
  const readRows = async () =>
    query(`
      select 'user' as kind, to_jsonb(users) - '{updated_at}'::text[] as row from users
      union all select 'connector', to_jsonb(connectors) - '{updated_at}'::text[] from connectors
      union all select 'role', to_jsonb(roles) from roles
      union all select 'session', to_jsonb(sessions) from sessions
      order by 1, 2`);

  test('are the same after all versions that follow and back', async () => {
    await deploy({ ...options, target: '1.0.0' });
    await query(`
      insert into users (username, primary_email, name, profile) values
        ('ada', 'ada@example.com', 'Ada King Lovelace', '{"language": "en_GB", "theme": "dark"}'),
        ('plato', null, 'Plato', '{"language": 7}'),
        ('nobody', null, null, '{}');
      insert into connectors (id, config) values
        ('google', '{"scope": "openid email", "clientId": "x"}'),
        ('odd', '{"scope": ["openid"]}');
      insert into applications (id, name) values ('6f1c5b9c-8f0e-4a53-9d4e-2f7b5c1d0a11', 'web');
      insert into sessions (id, user_id, application_id, expires_at)
        select 'session', id, '6f1c5b9c-8f0e-4a53-9d4e-2f7b5c1d0a11', now() + interval '1 day' from users
        where username = 'ada';
      insert into roles (name, description) values ('editor', 'Edits.')`);
    const before = await readRows();

    await deploy({ ...options, target: 'next' });
    const users = await query(
      `select username, given_name, family_name, profile ->> 'locale' as locale from users order by username`,
    );
    await rollback({ ...options, target: '1.0.0' });

    expect(users).toEqual([
      { username: 'ada', given_name: 'Ada', family_name: 'King Lovelace', locale: 'en-GB' },
      { username: 'nobody', given_name: null, family_name: null, locale: null },
      { username: 'plato', given_name: 'Plato', family_name: null, locale: null },
    ]);
    expect(await readRows()).toEqual(before);
  });
});
