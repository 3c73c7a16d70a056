import { bareNode, bareNodePg } from './bare-node.ts';
import type { Contestant } from './contestant.ts';
import { dbmate } from './dbmate.ts';
import { drizzle } from './drizzle.ts';
import { graphileMigrate } from './graphile-migrate.ts';
import { knex } from './knex.ts';
import { kysely } from './kysely.ts';
import { nodePgMigrate } from './node-pg-migrate.ts';
import { oursAtomic, oursSql, oursTs } from './ours.ts';
import { postgrator } from './postgrator.ts';
import { psqlEach, psqlOne } from './psql.ts';
import { umzug } from './umzug.ts';

/** The floors first, then this package, then its peers: the order of the tables. */
export const allContestants: readonly Contestant[] = [
  bareNode,
  bareNodePg,
  psqlEach,
  psqlOne,
  oursSql,
  oursAtomic,
  oursTs,
  nodePgMigrate,
  umzug,
  knex,
  kysely,
  drizzle,
  graphileMigrate,
  postgrator,
  dbmate,
];
