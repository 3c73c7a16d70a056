import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createPalette } from '../../src/cli/palette.ts';
import { describeError, renderError } from '../../src/cli/report-error.ts';
import {
  type AlterationError,
  AlterationFailedError,
  AlterationHalfDoneError,
  ConfigurationError,
  FolderError,
  HistoryBlockedError,
  LockHeldError,
  OvertakenError,
  RollbackRefusedError,
  StoppedError,
  UnusableAlterationError,
  UsageError,
} from '../../src/core/errors.ts';
import { errorReportSchema } from '../../src/operations/report-schemas.ts';

const script = '1.0.0-1684473802-seed-default-roles.ts';
const sqlFile = '1.1.0-1694510510-give-roles.up.sql';

const usage = new UsageError('Unknown command "deplyo".', { hint: 'Did you mean deploy?' });

const configuration = new ConfigurationError('2 settings are wrong.', {
  problems: [
    { message: '--lock-wait: "5" is not a duration; expected one with its unit, such as 500ms, 5s or 2m.' },
    { message: 'ALTERATION_JSON: "maybe" is neither true nor false.' },
  ],
});

const folder = new FolderError('"v1.0.0-1-a.ts" has "v1.0.0" where a version belongs.', {
  hint: 'Nothing was run.',
});

const unusable = new UnusableAlterationError('2 problems in the alterations.', {
  problems: [
    {
      file: script,
      message: `"${script}" has no default export.`,
    },
    {
      file: sqlFile,
      line: 3,
      column: 7,
      message: `"${sqlFile}" has a syntax error at or near "tabel".`,
      excerpt: '1 |\n2 | -- give\n3 | alter tabel roles\n  |       ^\n4 |   add x int;',
    },
  ],
  hint: 'Nothing was run.',
});

const failedScript = new AlterationFailedError(
  `"${script}" failed: duplicate key value violates unique constraint "roles_name_key".`,
  {
    alteration: script,
    phase: 'up',
    place: {
      file: script,
      line: 9,
      column: 11,
      excerpt:
        '7 |   up: async (transaction) => {\n8 |     const names = [];\n9 |     await transaction.query(sql`\n  |           ^\n10 |       insert into roles',
    },
    database: {
      sqlState: '23505',
      message: 'duplicate key value violates unique constraint "roles_name_key"',
      detail: 'Key (name)=(admin) already exists.',
      statement: '\n      insert into roles (name)\n      values ($1)\n    ',
    },
    hint: 'It was rolled back.',
  },
);

const failedAtPosition = new AlterationFailedError(`"${script}" failed: column "nmae" does not exist.`, {
  alteration: script,
  phase: 'down',
  database: {
    sqlState: '42703',
    message: 'column "nmae" does not exist',
    hint: 'Perhaps you meant to reference the column "roles.name".',
    statement: 'select id,\n  nmae\nfrom roles',
    position: 14,
  },
});

const failedSql = new AlterationFailedError(`"${sqlFile}" failed: relation "rolse" does not exist.`, {
  alteration: sqlFile,
  phase: 'up',
  place: {
    file: sqlFile,
    line: 2,
    column: 13,
    excerpt: '1 | -- give\n2 | alter table rolse\n  |             ^',
  },
  database: {
    sqlState: '42P01',
    message: 'relation "rolse" does not exist',
    statement: 'alter table rolse add x int',
    position: 13,
  },
  hint: 'It was rolled back.',
});
failedSql.progress = { direction: 'up', done: [script, 'b.sql'], remaining: [sqlFile, 'c.sql', 'd.sql'] };

const halfDone = new AlterationHalfDoneError(
  `"${sqlFile}" failed: canceling statement due to lock timeout.`,
  {
    alteration: sqlFile,
    phase: 'up',
    place: { file: sqlFile, line: 4 },
    database: { sqlState: '55P03', message: 'canceling statement due to lock timeout' },
    statements: { done: 1, total: 3 },
    hint: 'It runs outside a transaction: 1 of its 3 statements are done and stay.',
  },
);
halfDone.progress = { direction: 'up', done: [], remaining: [sqlFile, 'c.sql'] };

const held = new LockHeldError('Another instance is altering this database.', {
  holder: { pid: 4711, applicationName: 'alteration deploy latest' },
  waitedMs: 300_000,
  hint: 'Wait for it, or raise --lock-wait.',
});

const blockers = [
  {
    pid: 4712,
    applicationName: 'reports',
    role: 'analyst',
    state: 'idle in transaction',
    transactionAgeMs: 31_000,
    lockMode: 'AccessShareLock',
    relation: 'public.roles',
    query: 'select * from roles',
  },
  { pid: 0 },
];

const blocked = new AlterationFailedError(
  `"${sqlFile}" did not get the locks that it needs in 3 attempts within 5.0 s: canceling statement due to lock timeout.`,
  {
    alteration: sqlFile,
    phase: 'up',
    place: { file: sqlFile, line: 2 },
    database: { sqlState: '55P03', message: 'canceling statement due to lock timeout' },
    blockers,
    hint: 'It was rolled back.',
  },
);

const historyBlocked = new HistoryBlockedError(
  'The history table "public.alteration_history" was locked by others for 5.0 s: canceling statement due to lock timeout.',
  { blockers, hint: 'Nothing was changed.' },
);

const historyBlockedByNobody = new HistoryBlockedError('The history table was locked by others.', {
  blockers: [],
  hint: 'Nothing was changed.',
});

const overtaken = new OvertakenError('Another instance has altered this database in the meantime.', {
  hint: 'Run it again.',
});
overtaken.progress = { direction: 'up', done: [script], remaining: [sqlFile] };

const refused = new RollbackRefusedError('The rollback to 1.0.0 cannot be done.', {
  problems: [
    { file: script, message: `"${script}" has no down.` },
    { message: '"prune-sessions" (1.2.0, 1706621228) is applied, and its file is missing.' },
  ],
  hint: 'Nothing was changed.',
});

const stopped = new StoppedError('SIGTERM', 'What was done is recorded.');
stopped.progress = { direction: 'down', done: [script], remaining: ['b.sql', 'c.sql'] };

const cases: readonly (readonly [string, AlterationError, string])[] = [
  [
    'a usage error with what was meant',
    usage,
    `✖ Unknown command "deplyo".

Did you mean deploy?`,
  ],
  [
    'all wrong settings',
    configuration,
    `✖ 2 settings are wrong.

  --lock-wait: "5" is not a duration; expected one with its unit, such as 500ms, 5s or 2m.
  ALTERATION_JSON: "maybe" is neither true nor false.`,
  ],
  [
    'a name that cannot be',
    folder,
    `✖ "v1.0.0-1-a.ts" has "v1.0.0" where a version belongs.

Nothing was run.`,
  ],
  [
    'files that cannot be loaded, with place and excerpt where known',
    unusable,
    `✖ 2 problems in the alterations.

  "1.0.0-1684473802-seed-default-roles.ts" has no default export.

  "1.1.0-1694510510-give-roles.up.sql" has a syntax error at or near "tabel".
  at db/1.1.0-1694510510-give-roles.up.sql:3:7
  1 |
  2 | -- give
  3 | alter tabel roles
    |       ^
  4 |   add x int;

Nothing was run.`,
  ],
  [
    'a script that failed in a statement, with what PostgreSQL said',
    failedScript,
    `✖ "1.0.0-1684473802-seed-default-roles.ts" failed: duplicate key value violates unique constraint "roles_name_key".

  at db/1.0.0-1684473802-seed-default-roles.ts:9:11
  7 |   up: async (transaction) => {
  8 |     const names = [];
  9 |     await transaction.query(sql\`
    |           ^
  10 |       insert into roles

        insert into roles (name)
        values ($1)

  Code    23505
  Detail  Key (name)=(admin) already exists.

It was rolled back.`,
  ],
  [
    'a statement with the position that PostgreSQL gave',
    failedAtPosition,
    `✖ "1.0.0-1684473802-seed-default-roles.ts" failed: column "nmae" does not exist.

  1 | select id,
  2 |   nmae
    |   ^
  3 | from roles

  Code    42703
  Hint    Perhaps you meant to reference the column "roles.name".`,
  ],
  [
    'a SQL file with the excerpt of the file, and how far the run came',
    failedSql,
    `✖ "1.1.0-1694510510-give-roles.up.sql" failed: relation "rolse" does not exist.

  at db/1.1.0-1694510510-give-roles.up.sql:2:13
  1 | -- give
  2 | alter table rolse
    |             ^

  Code    42P01

It was rolled back.
2 alterations before it are applied; 2 alterations after it are not.`,
  ],
  [
    'an alteration that is half done',
    halfDone,
    `✖ "1.1.0-1694510510-give-roles.up.sql" failed: canceling statement due to lock timeout.

  at db/1.1.0-1694510510-give-roles.up.sql:4

  Code    55P03

It runs outside a transaction: 1 of its 3 statements are done and stay.
Nothing was applied before it; 1 alteration after it is not.`,
  ],
  [
    'a lock that is held',
    held,
    `✖ Another instance is altering this database.

Wait for it, or raise --lock-wait.`,
  ],
  [
    'locks that others held for too long, and who they are',
    blocked,
    `✖ "1.1.0-1694510510-give-roles.up.sql" did not get the locks that it needs in 3 attempts within 5.0 s: canceling statement due to lock timeout.

  at db/1.1.0-1694510510-give-roles.up.sql:2

  Code    55P03

  Blocked by
    session 4712 ("reports" as analyst, idle in transaction for 31.0 s, AccessShareLock on public.roles): select * from roles
    a prepared transaction

It was rolled back.`,
  ],
  [
    'a history table that others have locked, and who they are',
    historyBlocked,
    `✖ The history table "public.alteration_history" was locked by others for 5.0 s: canceling statement due to lock timeout.

  Blocked by
    session 4712 ("reports" as analyst, idle in transaction for 31.0 s, AccessShareLock on public.roles): select * from roles
    a prepared transaction

Nothing was changed.`,
  ],
  [
    'a history table that others have locked, when nobody was seen',
    historyBlockedByNobody,
    `✖ The history table was locked by others.

Nothing was changed.`,
  ],
  [
    'that another instance has altered in between',
    overtaken,
    `✖ Another instance has altered this database in the meantime.

Run it again.
1 alteration before it is applied.`,
  ],
  [
    'all that stands in the way of a rollback',
    refused,
    `✖ The rollback to 1.0.0 cannot be done.

  "1.0.0-1684473802-seed-default-roles.ts" has no down.
  "prune-sessions" (1.2.0, 1706621228) is applied, and its file is missing.

Nothing was changed.`,
  ],
  [
    'a stop, and how far the run came',
    stopped,
    `✖ Stopped by SIGTERM.

What was done is recorded.
1 alteration is rolled back, 2 are not.`,
  ],
];

describe('what a person reads of a failure', () => {
  it.each(cases)('tells %s', (_, error, text) => {
    expect(renderError(error, 'db', createPalette('off'))).toBe(text);
  });

  it.each(cases)('says the same in colour: %s', (_, error, text) => {
    const coloured = renderError(error, 'db', createPalette('on'));

    expect(coloured).not.toBe(text);
    expect(stripVTControlCharacters(coloured)).toBe(text);
  });

  it('tells no more than the beginning of a long statement', () => {
    const statement = Array.from({ length: 40 }, (_, index) => `-- ${index}`).join('\n');
    const error = new AlterationFailedError('It failed.', {
      alteration: script,
      phase: 'up',
      database: { message: 'no', statement },
    });

    const lines = renderError(error, 'db', createPalette('off')).split('\n').slice(2);

    expect(lines).toEqual([...Array.from({ length: 12 }, (_, index) => `  -- ${index}`), '  …']);
  });

  it.each([
    [new TypeError('x is not a function'), 'TypeError: x is not a function\n    at '],
    ['a text that was thrown', 'a text that was thrown'],
    [undefined, 'undefined'],
  ])('of a defect asks for a report with what was thrown: %s', (thrown, trace) => {
    const text = renderError(thrown, 'db', createPalette('off'));

    expect(text).toContain(
      '✖ This is a defect of the alteration runner; please report it with what follows.\n\n',
    );
    expect(text).toContain(trace);
  });
});

describe('the document of a failure', () => {
  it.each(cases)('matches its schema and has the message, the hint and the problems: %s', (_, error) => {
    const report = describeError(error, 'deploy');

    expect(errorReportSchema.strict().parse(report)).toEqual(report);
    expect(report.error).toMatchObject({
      code: error.code,
      message: error.message,
      problems: error.problems,
    });
    expect(report.error.hint).toBe(error.hint);
  });

  it('has the facts of a failed alteration', () => {
    expect(describeError(failedSql, 'deploy')).toEqual({
      schemaVersion: 1,
      command: 'deploy',
      error: {
        code: 'alteration-failed',
        message: failedSql.message,
        exitCode: 4,
        hint: 'It was rolled back.',
        problems: [],
        alteration: sqlFile,
        phase: 'up',
        place: failedSql.place,
        database: failedSql.database,
        progress: failedSql.progress,
      },
    });
  });

  it.each<[string, AlterationError, object]>([
    ['the statements that are done', halfDone, { exitCode: 5, statements: { done: 1, total: 3 } }],
    [
      'who holds the lock',
      held,
      { exitCode: 6, holder: { pid: 4711, applicationName: 'alteration deploy latest' } },
    ],
    ['who holds the locks that were needed', blocked, { exitCode: 4, code: 'alteration-failed', blockers }],
    ['who holds the history table', historyBlocked, { exitCode: 4, code: 'history-blocked', blockers }],
    ['that it may be run again', overtaken, { exitCode: 6, code: 'overtaken', progress: { done: [script] } }],
    ['how far it came', stopped, { exitCode: 143, progress: { done: [script] } }],
  ])('has %s', (_, error, facts) => {
    expect(describeError(error, 'deploy').error).toMatchObject(facts);
  });

  it('has no command when none was understood', () => {
    expect(describeError(usage, null)).toMatchObject({ command: null, error: { exitCode: 2 } });
  });

  it.each([
    [new TypeError('x is not a function'), 'x is not a function'],
    ['a text that was thrown', 'a text that was thrown'],
  ])('of a defect has its message and not its stack: %s', (thrown, message) => {
    expect(describeError(thrown, 'deploy')).toEqual({
      schemaVersion: 1,
      command: 'deploy',
      error: { code: 'defect', message, exitCode: 1, problems: [] },
    });
  });
});
