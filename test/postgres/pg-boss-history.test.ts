import { getConstructionPlans } from 'pg-boss';
import { expect, test } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { createFolder } from '../support/folder.ts';
import { library } from '../support/library.ts';
import {
  addBossJobs,
  bossAlterations,
  bossPlanFrom,
  bossPlanUpTo,
  bossReleases,
  bossSchema,
  installOldestBoss,
  runQueuedCommands,
} from '../support/pg-boss.ts';
import { schemaOf, withoutLayout } from '../support/schema-of.ts';

const middle = '12.10.0';
const first = bossReleases.slice(0, bossReleases.indexOf(middle) + 1);
const later = bossReleases.slice(first.length);

function jobsOf({ query }: TestDatabase) {
  return query(`
    select to_jsonb(job) - array['id', 'created_on', 'start_after', 'keep_until'] as job, version.version
    from ${bossSchema}.job, ${bossSchema}.version order by name
  `);
}

test('the migrations of pg-boss make the same schema as alterations as when they are run directly', async () => {
  const deployed = await createDatabase();
  const direct = await createDatabase();
  for (const database of [deployed, direct]) {
    await installOldestBoss(database);
    await addBossJobs(database);
  }
  const oldest = await schemaOf(deployed);
  const options = { database: deployed.url, folder: await createFolder(bossAlterations()) };

  const there = await library.deploy({ ...options, target: middle });
  await direct.query(bossPlanUpTo(middle));
  expect(there.applied.map(({ version }) => version)).toEqual(first);
  expect(await schemaOf(deployed)).toEqual(await schemaOf(direct));

  const latest = await library.deploy(options);
  await direct.query(bossPlanFrom(middle));
  expect(latest.applied.map(({ version }) => version)).toEqual(later);
  expect(await runQueuedCommands(deployed)).toBe(await runQueuedCommands(direct));
  expect(await schemaOf(deployed)).toEqual(await schemaOf(direct));
  expect(await jobsOf(deployed)).toHaveLength(2);
  expect(await jobsOf(deployed)).toEqual(await jobsOf(direct));

  const back = await library.rollback({ ...options, target: '11.0.0' });
  expect(back.rolledBack).toHaveLength(bossReleases.length);
  expect(await schemaOf(deployed)).toEqual(oldest);
});

test('the migrations of pg-boss make the schema that pg-boss makes in an empty database', async () => {
  const deployed = await createDatabase();
  const installed = await createDatabase();
  await installOldestBoss(deployed);
  await library.deploy({ database: deployed.url, folder: await createFolder(bossAlterations()) });
  expect(await runQueuedCommands(deployed)).toBeGreaterThan(0);
  await installed.query(getConstructionPlans(bossSchema));
  expect(withoutLayout(await schemaOf(deployed))).toEqual(withoutLayout(await schemaOf(installed)));
});
