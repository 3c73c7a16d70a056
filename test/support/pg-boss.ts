// The migrations of pg-boss: code that gives SQL, each with a schema number and the release that brought it.

import { getConstructionPlans, getMigrationPlans, getRollbackPlans } from 'pg-boss';
import { getAll, migrate } from 'pg-boss/dist/migrationStore.js';
import type { TestDatabase } from './database.ts';

export const bossSchema = 'pgboss';

const migrations = getAll(bossSchema).sort((left, right) => left.version - right.version);

/** Number of the schema before the first migration that the package still has. */
const oldest = Math.min(...migrations.map(({ previous }) => previous));

/** The releases that changed the schema, oldest first. */
export const bossReleases = migrations.map(({ release }) => release);

/** What the package sends to bring its oldest schema to the one of a release. */
export function bossPlanUpTo(release: string): string {
  const wanted = getAll(bossSchema).filter(({ version }) => version <= schemaNumber(release));
  return migrate(bossSchema, oldest, wanted);
}

/** What the package sends to bring the schema of a release to the newest. */
export function bossPlanFrom(release: string): string {
  return getMigrationPlans(bossSchema, schemaNumber(release));
}

/** The migrations as pairs of SQL files. */
export function bossAlterations(): Record<string, string> {
  const files = migrations.flatMap(({ release, version, previous, install, uninstall = [], ...rest }) => {
    const queued = (rest.async ?? []).map((command) => command.replaceAll('$VERSION$', String(version)));
    const stem = `${release}-${1_600_000_000 + version}-schema-${version}`;
    return [
      [`${stem}.up.sql`, joinStatements([...install, ...queued, setNumber(version)])],
      [`${stem}.down.sql`, joinStatements([...uninstall, setNumber(previous)])],
    ] as const;
  });
  return Object.fromEntries(files);
}

/** Installs pg-boss and takes it back to the oldest schema that it can reach. */
export async function installOldestBoss({ query }: TestDatabase): Promise<void> {
  await query(getConstructionPlans(bossSchema));
  for (const { version } of migrations.toReversed()) await query(getRollbackPlans(bossSchema, version));
}

/** Makes a queue of either kind, and puts a job into each. */
export async function addBossJobs({ query }: TestDatabase): Promise<void> {
  await query(`
    select ${bossSchema}.create_queue('mail', '{"policy": "short"}');
    select ${bossSchema}.create_queue('invoices', '{"policy": "stately", "partition": "true"}');
    insert into ${bossSchema}.job (name, data, singleton_key, policy)
    select name, '{"to": "alice"}', 'key', policy from ${bossSchema}.queue;
  `);
}

/** Runs what the package leaves to its background worker, indexes that are built concurrently; returns their number. */
export async function runQueuedCommands({ query }: TestDatabase): Promise<number> {
  const queued = await query<{ command: string }>(
    `select command from ${bossSchema}.bam order by created_on, command`,
  );
  for (const { command } of queued) await query(command);
  return queued.length;
}

function schemaNumber(release: string): number {
  return migrations.find((migration) => migration.release === release)?.version ?? oldest;
}

function setNumber(version: number): string {
  return `update ${bossSchema}.version set version = '${version}'`;
}

function joinStatements(statements: readonly string[]): string {
  return `${statements.join(';\n')};\n`;
}
