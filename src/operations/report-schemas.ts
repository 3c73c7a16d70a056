import { z } from 'zod';
import { reportVersion } from './reports.ts';

// Apart from the types made of them: who only writes reports need not load zod.

const envelope = <C extends string>(command: C) => ({
  schemaVersion: z.literal(reportVersion),
  command: z.literal(command),
});

export const stateSchema = z.enum(['applied', 'pending', 'late', 'missing', 'edited']);

/** An alteration by its file. */
export const alterationSchema = z.object({
  /** Canonical timestamp, the identity. */
  id: z.string(),
  /** Canonical semver, or `next`. */
  version: z.string(),
  name: z.string(),
  file: z.string(),
});

/** Where the work was done; `host` and `port` are absent for a pool of the caller's. */
export const databaseSchema = z.object({
  host: z.string().optional(),
  port: z.number().int().optional(),
  database: z.string(),
  role: z.string(),
  serverVersion: z.string(),
  /** `transaction`: reached through a pooler in transaction mode. */
  pooler: z.enum(['transaction', 'none']),
});

const stepSchema = alterationSchema.extend({ late: z.boolean() });
const finishedStepSchema = stepSchema.extend({ durationMs: z.number() });
const missingSchema = z.object({ id: z.string(), version: z.string(), name: z.string() });
const renamedSchema = z.object({ id: z.string(), file: z.string(), from: z.string(), to: z.string() });

/** What a deploy did, or, with `dryRun`, would do. */
export const deployReportSchema = z.object({
  ...envelope('deploy'),
  dryRun: z.boolean(),
  database: databaseSchema,
  target: z.string(),
  /** Newest version with an applied alteration before and after; null for an empty database. */
  versionBefore: z.string().nullable(),
  version: z.string().nullable(),
  /** What a dry run would apply, in order; empty otherwise. */
  planned: z.array(stepSchema),
  applied: z.array(finishedStepSchema),
  /** Rows whose file was renamed. */
  renamed: z.array(renamedSchema),
  /** Edited files that were accepted. */
  accepted: z.array(z.string()),
  /** Rows without a file. */
  missing: z.array(missingSchema),
  /** Pending alterations beyond the target. */
  pending: z.number().int(),
  /** UUID that the rows of this deploy carry; null when nothing was applied. */
  deployId: z.string().nullable(),
  durationMs: z.number(),
});

/** What a rollback did, or, with `dryRun`, would do. */
export const rollbackReportSchema = z.object({
  ...envelope('rollback'),
  dryRun: z.boolean(),
  database: databaseSchema,
  target: z.string(),
  versionBefore: z.string().nullable(),
  version: z.string().nullable(),
  planned: z.array(alterationSchema),
  rolledBack: z.array(alterationSchema.extend({ durationMs: z.number() })),
  durationMs: z.number(),
});

/** One alteration of the folder or the history. */
export const listedSchema = z.object({
  id: z.string(),
  version: z.string(),
  name: z.string(),
  /** null for a missing one. */
  file: z.string().nullable(),
  state: stateSchema,
  /** ISO 8601, by the database's clock. */
  appliedAt: z.string().nullable(),
  durationMs: z.number().nullable(),
  role: z.string().nullable(),
  host: z.string().nullable(),
  /** Statements done of one that is half done, or, of an applied one, half taken back; null for all others. */
  statementsDone: z.number().int().nullable(),
});

export const listReportSchema = z.object({
  ...envelope('list'),
  database: databaseSchema,
  version: z.string().nullable(),
  alterations: z.array(listedSchema),
});

const holderSchema = z.object({
  pid: z.number().int(),
  applicationName: z.string(),
  host: z.string().optional(),
  role: z.string().optional(),
  since: z.string().optional(),
});

export const statusReportSchema = z.object({
  ...envelope('status'),
  database: databaseSchema,
  history: z.object({ schema: z.string(), table: z.string(), exists: z.boolean() }),
  version: z.string().nullable(),
  counts: z.record(stateSchema, z.number().int()),
  /** Pending and late ones, by version, in order. */
  pending: z.array(z.object({ version: z.string(), count: z.number().int() })),
  lastDeploy: z
    .object({
      at: z.string(),
      deployId: z.string(),
      applied: z.number().int(),
      role: z.string(),
      host: z.string(),
      runner: z.string(),
    })
    .nullable(),
  lock: holderSchema.nullable(),
});

export const checkReportSchema = z.object({
  ...envelope('check'),
  database: databaseSchema,
  target: z.string(),
  version: z.string().nullable(),
  result: z.enum(['up-to-date', 'pending', 'integrity']),
  pending: z.array(stepSchema),
  edited: z.array(z.string()),
  missing: z.array(missingSchema),
  /** Rows that a rollback has left half taken back. */
  reverting: z.array(missingSchema),
});

/** One thing that is wrong with an alterations folder. */
export const folderProblemSchema = z.object({
  /**
   * `name`: of a file · `order`: a new alteration sorts before one that was there earlier · `released`: a released one
   * was edited, moved or removed · `load`: a module · `sql`: a SQL file · `git`: the history cannot be read.
   */
  rule: z.enum(['name', 'order', 'released', 'load', 'sql', 'git']),
  /** Relative to the folder; `.` for the folder as a whole. */
  file: z.string(),
  /** 1-based. */
  line: z.number().int().optional(),
  /** 1-based, in characters. */
  column: z.number().int().optional(),
  message: z.string(),
});

/** What a check of the folder alone, without a database, has found. */
export const folderCheckReportSchema = z.object({
  ...envelope('check'),
  mode: z.literal('ci'),
  /** Tag of the previous release, or `history` where no version is tagged; null where nothing was compared. */
  comparedWith: z.string().nullable(),
  /** Why order and released files were not compared: no git, no repository, a folder that git ignores, a problem of rule `git`. */
  notCompared: z.enum(['no-git', 'no-repository', 'ignored', 'problem']).nullable(),
  /** Alterations with a name that can be. */
  alterations: z.number().int(),
  /** By file, line and column. */
  problems: z.array(folderProblemSchema),
  result: z.enum(['passed', 'failed']),
});

export const baselineReportSchema = z.object({
  ...envelope('baseline'),
  database: databaseSchema,
  target: z.string(),
  dryRun: z.boolean(),
  version: z.string().nullable(),
  recorded: z.array(alterationSchema),
  deployId: z.string().nullable(),
});

export const createReportSchema = z.object({
  ...envelope('create'),
  id: z.string(),
  files: z.array(z.string()),
});

export const releaseReportSchema = z.object({
  ...envelope('release'),
  dryRun: z.boolean(),
  version: z.string(),
  renamed: z.array(z.object({ from: z.string(), to: z.string() })),
});

const problemSchema = z.object({
  message: z.string(),
  file: z.string().optional(),
  line: z.number().int().optional(),
  column: z.number().int().optional(),
  excerpt: z.string().optional(),
});

const blockerSchema = z.object({
  pid: z.number().int(),
  applicationName: z.string().optional(),
  role: z.string().optional(),
  state: z.string().optional(),
  transactionAgeMs: z.number().optional(),
  lockMode: z.string().optional(),
  relation: z.string().optional(),
  query: z.string().optional(),
});

/** What stands on stdout when a command fails. */
export const errorReportSchema = z.object({
  schemaVersion: z.literal(reportVersion),
  command: z.string().nullable(),
  error: z.object({
    code: z.string(),
    message: z.string(),
    exitCode: z.number().int(),
    hint: z.string().optional(),
    problems: z.array(problemSchema),
    alteration: z.string().optional(),
    phase: z.enum(['up', 'down', 'beforeUp', 'beforeDown']).optional(),
    place: problemSchema.omit({ message: true }).required({ file: true }).optional(),
    database: z
      .object({
        sqlState: z.string().optional(),
        message: z.string(),
        detail: z.string().optional(),
        hint: z.string().optional(),
        statement: z.string().optional(),
        position: z.number().int().optional(),
      })
      .optional(),
    statements: z.object({ done: z.number().int(), total: z.number().int() }).optional(),
    holder: holderSchema.optional(),
    /** The sessions that kept an alteration waiting past the lock deadline. */
    blockers: z.array(blockerSchema).optional(),
    progress: z
      .object({
        direction: z.enum(['up', 'down']),
        done: z.array(z.string()),
        remaining: z.array(z.string()),
      })
      .optional(),
  }),
});
