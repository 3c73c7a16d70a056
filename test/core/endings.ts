import type {
  CheckReport,
  DeployReport,
  ErrorReport,
  FolderCheckReport,
  ListReport,
  RollbackReport,
  StatusReport,
} from '../../src/operations/reports.ts';

export const database = {
  host: 'db.example.com',
  port: 5432,
  database: 'identity',
  role: 'deployer',
  serverVersion: '18.4 (Debian 18.4-1.pgdg13+1)',
  pooler: 'none' as const,
};
export const signingKeys = {
  id: '1684944764',
  version: '1.0.0-rc.1',
  name: 'move-signing-keys-to-database',
  file: '1.0.0_rc.1-1684944764-move-signing-keys-to-database.ts',
};
export const webhooks = {
  id: '1735030812.1',
  version: '1.4.0',
  name: 'create-webhooks',
  file: '1.4.0-1735030812.1-create-webhooks.up.sql',
};
export const gone = { id: '1706621228', version: '1.2.0-beta.2', name: 'prune-sessions' };

export const deployed: DeployReport = {
  schemaVersion: 1,
  command: 'deploy',
  dryRun: false,
  database,
  target: 'latest',
  versionBefore: '1.3.0',
  version: '1.4.0',
  planned: [],
  applied: [{ ...webhooks, late: false, durationMs: 12 }],
  renamed: [],
  accepted: [],
  missing: [],
  pending: 0,
  deployId: '6f1c1c9e-0000-4000-8000-000000000000',
  durationMs: 1_234,
};

/** Nothing applied yet, one of two late. */
export const planned: DeployReport = {
  ...deployed,
  dryRun: true,
  version: '1.3.0',
  applied: [],
  planned: [
    { ...signingKeys, late: true },
    { ...webhooks, late: false },
  ],
  pending: 1,
  deployId: null,
};

export const rolledBack: RollbackReport = {
  schemaVersion: 1,
  command: 'rollback',
  dryRun: false,
  database,
  target: '1.3.0',
  versionBefore: '1.4.0',
  version: '1.3.0',
  planned: [],
  rolledBack: [{ ...webhooks, durationMs: 7 }],
  durationMs: 20,
};

export const checked: CheckReport = {
  schemaVersion: 1,
  command: 'check',
  database,
  target: 'latest',
  version: '1.4.0',
  result: 'up-to-date',
  pending: [],
  edited: [],
  missing: [],
  reverting: [],
};

export const folderChecked: FolderCheckReport = {
  schemaVersion: 1,
  command: 'check',
  mode: 'ci',
  comparedWith: 'v1.3.0',
  notCompared: null,
  alterations: 2,
  problems: [],
  result: 'passed',
};

const listedFacts = { appliedAt: null, durationMs: null, role: null, host: null, statementsDone: null };

export const listed: ListReport = {
  schemaVersion: 1,
  command: 'list',
  database,
  version: '1.4.0',
  alterations: [
    { ...signingKeys, ...listedFacts, state: 'late' },
    { ...gone, ...listedFacts, file: null, state: 'missing' },
    { ...webhooks, ...listedFacts, state: 'edited' },
  ],
};

export const status: StatusReport = {
  schemaVersion: 1,
  command: 'status',
  database,
  history: { schema: 'public', table: 'alteration_history', exists: true },
  version: '1.4.0',
  counts: { applied: 7, pending: 2, late: 1, missing: 0, edited: 0 },
  pending: [{ version: '1.5.0', count: 3 }],
  lastDeploy: null,
  lock: null,
};

/** An alteration that failed after another one was applied. */
export const failed: ErrorReport = {
  schemaVersion: 1,
  command: 'deploy',
  error: {
    code: 'alteration-failed',
    message: `"${webhooks.file}" failed: could not create unique index "hooks_url".`,
    exitCode: 4,
    hint: 'It was rolled back: nothing of it stays.',
    problems: [],
    alteration: webhooks.file,
    phase: 'up',
    place: { file: webhooks.file, line: 3, column: 1 },
    database: { sqlState: '23505', message: 'x', detail: 'Key (url)=(https://a|b) is duplicated.' },
    progress: {
      direction: 'up',
      done: [signingKeys.file],
      remaining: [webhooks.file, '1.5.0-1758529991-index-sessions.ts'],
    },
  },
};

/** Two files that cannot be loaded. */
export const unusable: ErrorReport = {
  schemaVersion: 1,
  command: 'deploy',
  error: {
    code: 'alteration-unusable',
    message: '2 problems in the alterations.',
    exitCode: 4,
    hint: 'Nothing was run.',
    problems: [
      { file: signingKeys.file, message: `"${signingKeys.file}" has no default export.` },
      {
        file: webhooks.file,
        line: 3,
        column: 7,
        message: 'Syntax error at or near "tabel".',
        excerpt: '3 | x',
      },
    ],
  },
};

/** Nothing of it is about a file. */
export const unreachable: ErrorReport = {
  schemaVersion: 1,
  command: null,
  error: {
    code: 'database-unreachable',
    message: 'The database cannot be reached: connection refused.',
    exitCode: 9,
    problems: [],
  },
};
