import { runMigrations } from 'graphile-worker';
import { expect, test } from 'vitest';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { createFolder } from '../support/folder.ts';
import {
  type GraphileMigration,
  graphileAlterations,
  graphileBootstrap,
  graphileSchema,
  readGraphileMigrations,
} from '../support/graphile-worker.ts';
import { library } from '../support/library.ts';
import { schemaOf } from '../support/schema-of.ts';

const migrations = await readGraphileMigrations();

async function runDirectly({ query }: TestDatabase, wanted: (migration: GraphileMigration) => boolean) {
  for (const { text } of migrations.filter(wanted)) await query(`begin;\n${text}\n;commit;`);
}

/** Puts work into the queue, which later migrations carry over into other tables. */
async function addJobs({ query }: TestDatabase): Promise<void> {
  await query(`
    select ${graphileSchema}.add_job('welcome', '{"user": "alice"}', run_at := '2024-01-01T00:00:00Z'),
      ${graphileSchema}.add_job('invoice', '{"number": 1}', 'billing', '2024-01-02T00:00:00Z', 3, 'invoice-1')
  `);
}

function jobsOf({ query }: TestDatabase) {
  return query(`
    select task_identifier, queue_name, jobs.run_at, jobs.priority, jobs.attempts, jobs.max_attempts, jobs.key,
      jobs.revision, payload
    from ${graphileSchema}.jobs join ${graphileSchema}._private_jobs using (id)
    order by task_identifier
  `);
}

test('the migrations of graphile-worker make the same schema as alterations as when they are run directly', async () => {
  const deployed = await createDatabase();
  const direct = await createDatabase();
  const folder = await createFolder(graphileAlterations(migrations));
  const deploy = (target: string) => library.deploy({ database: deployed.url, folder, target });

  const middle = await deploy('2.0.0');
  await direct.query(graphileBootstrap);
  await runDirectly(direct, ({ number }) => number <= 10);
  expect(middle.applied).toHaveLength(1 + 10);
  expect(await schemaOf(deployed)).toEqual(await schemaOf(direct));

  await addJobs(deployed);
  await addJobs(direct);
  const latest = await deploy('latest');
  await runDirectly(direct, ({ number }) => number > 10);
  expect(latest.applied).toHaveLength(migrations.length - 10);
  expect(await schemaOf(deployed)).toEqual(await schemaOf(direct));
  expect(await jobsOf(deployed)).toHaveLength(2);
  expect(await jobsOf(deployed)).toEqual(await jobsOf(direct));
});

test('the migrations of graphile-worker make the schema that graphile-worker makes', async () => {
  const deployed = await createDatabase();
  const installed = await createDatabase();
  const folder = await createFolder(graphileAlterations(migrations));
  await library.deploy({ database: deployed.url, folder });
  await runMigrations({ connectionString: installed.url, schema: graphileSchema });
  const ownTable = `${graphileSchema}.migrations`;
  expect(await schemaOf(deployed)).toEqual(await schemaOf(installed, [ownTable]));
});
