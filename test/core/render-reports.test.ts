import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createPalette, type Palette } from '../../src/cli/palette.ts';
import { renderDeploy } from '../../src/cli/render-deploy.ts';
import {
  renderBaseline,
  renderCheck,
  renderCreate,
  renderList,
  renderRelease,
  renderRollback,
  renderStatus,
} from '../../src/cli/render-reports.ts';
import { renderBlocker, renderDatabase, renderHolder } from '../../src/cli/report-words.ts';
import type {
  BaselineReport,
  CheckReport,
  CreateReport,
  DeployReport,
  Listed,
  ListReport,
  ReleaseReport,
  RollbackReport,
  StatusReport,
} from '../../src/operations/reports.ts';
import { checked, database, deployed, gone, signingKeys, webhooks } from './endings.ts';

const sessions = {
  id: '1758529991',
  version: 'next',
  name: 'index-sessions-by-expiry',
  file: 'next-1758529991-index-sessions-by-expiry.ts',
};
const nothingDeployed: DeployReport = { ...deployed, applied: [], versionBefore: '1.4.0', deployId: null };
const steps = [
  { ...signingKeys, late: true },
  { ...webhooks, late: false },
];

const deploys: readonly (readonly [string, DeployReport, string])[] = [
  ['what it applied', deployed, 'Applied 1 alteration in 1.2 s: the database is at 1.4.0 (was 1.3.0).'],
  [
    'the first one',
    {
      ...deployed,
      versionBefore: null,
      applied: [...steps, ...steps].map((step) => ({ ...step, late: false, durationMs: 3 })),
    },
    'Applied 4 alterations in 1.2 s: the database is at 1.4.0 (nothing was applied before).',
  ],
  [
    'that one was late',
    { ...deployed, applied: steps.map((step) => ({ ...step, durationMs: 3 })), pending: 2 },
    `Applied 2 alterations in 1.2 s: the database is at 1.4.0 (was 1.3.0). 1 of them was late.
2 alterations beyond latest are pending.`,
  ],
  ['that there was nothing to do', nothingDeployed, 'Nothing to do: the database is at 1.4.0.'],
  [
    'that there was nothing to do for an old target in a new database',
    { ...nothingDeployed, target: '0.9.0', version: null, versionBefore: null, pending: 1 },
    `Nothing to do: the database is at no version.
1 alteration beyond 0.9.0 is pending.`,
  ],
  [
    'what it brought up to date on the way',
    {
      ...nothingDeployed,
      renamed: [
        { id: '1', file: '1.4.0-1-a.ts', from: 'next', to: '1.4.0' },
        { id: '2', file: '1.4.0-2-b.ts', from: '1.4.0', to: '1.4.0' },
      ],
      accepted: [webhooks.file],
      missing: [gone],
    },
    `Recorded 1.4.0-1-a.ts as 1.4.0 (was next).
Recorded the new name of 1.4.0-2-b.ts.
Accepted the edited 1.4.0-1735030812.1-create-webhooks.up.sql.
Applied, but the file is missing:
  1.2.0_beta.2-1706621228-prune-sessions
Nothing to do: the database is at 1.4.0.`,
  ],
  [
    'what it would do',
    { ...nothingDeployed, dryRun: true, target: '1.4.0', version: '1.1.0', planned: steps, pending: 1 },
    `Would apply 2 alterations to reach 1.4.0:
  1.0.0-rc.1  1684944764    move-signing-keys-to-database  late
  1.4.0       1735030812.1  create-webhooks
Nothing was changed.
1 alteration beyond 1.4.0 is pending.`,
  ],
  [
    'that it would do nothing but bring up to date',
    {
      ...nothingDeployed,
      dryRun: true,
      renamed: [{ id: '1', file: '1.4.0-1-a.ts', from: 'next', to: '1.4.0' }],
      accepted: [webhooks.file],
    },
    `Would record 1.4.0-1-a.ts as 1.4.0 (was next).
Would accept the edited 1.4.0-1735030812.1-create-webhooks.up.sql.
Nothing to do: the database is at 1.4.0.`,
  ],
];

const rolledBack: RollbackReport = {
  schemaVersion: 1,
  command: 'rollback',
  dryRun: false,
  database,
  target: '1.3.0',
  versionBefore: 'next',
  version: '1.3.0',
  planned: [],
  rolledBack: [
    { ...sessions, durationMs: 7 },
    { ...webhooks, durationMs: 9 },
  ],
  durationMs: 62_000,
};

const rollbacks: readonly (readonly [string, RollbackReport, string])[] = [
  ['what it took back', rolledBack, 'Rolled back 2 alterations in 1 m 02 s: the database is at 1.3.0.'],
  [
    'that it took back everything',
    { ...rolledBack, target: '0.0.0', version: null },
    'Rolled back 2 alterations in 1 m 02 s: the database is at no version.',
  ],
  [
    'that it took back nothing',
    { ...rolledBack, rolledBack: [] },
    'Nothing rolled back: the database is at 1.3.0.',
  ],
  [
    'what it would take back',
    { ...rolledBack, dryRun: true, rolledBack: [], planned: [sessions, webhooks], version: 'next' },
    `Would roll back 2 alterations to reach 1.3.0:
  next   1758529991    index-sessions-by-expiry
  1.4.0  1735030812.1  create-webhooks
Nothing was changed.`,
  ],
  [
    'that it would take back nothing',
    { ...rolledBack, dryRun: true, rolledBack: [] },
    'Nothing to roll back: the database is at 1.3.0.',
  ],
];

const applied = {
  state: 'applied',
  appliedAt: '2026-11-22T08:00:59.123Z',
  durationMs: 12,
  role: 'deployer',
  host: 'pod-1',
  statementsDone: null,
} as const;
const pending = {
  ...applied,
  state: 'pending',
  appliedAt: null,
  durationMs: null,
  role: null,
  host: null,
} as const;
const listed: readonly Listed[] = [
  { ...applied, ...signingKeys, durationMs: 125_000 },
  { ...pending, ...webhooks, state: 'late', id: '1706621229', version: '1.2.0' },
  { ...applied, ...gone, file: null, state: 'missing' },
  { ...applied, ...webhooks, state: 'edited' },
  { ...pending, ...sessions, statementsDone: 1 },
];
const list: ListReport = {
  schemaVersion: 1,
  command: 'list',
  database,
  version: '1.4.0',
  alterations: [...listed],
};

const status: StatusReport = {
  schemaVersion: 1,
  command: 'status',
  database,
  history: { schema: 'public', table: 'alteration_history', exists: true },
  version: '1.1.1',
  counts: { applied: 17, pending: 14, late: 1, missing: 2, edited: 1 },
  pending: ['1.0.0-beta.1', '1.0.0-beta.2', '1.0.0-rc.1', '1.2.0', '1.3.0', '1.4.0', 'next'].map(
    (version, index) => ({ version, count: index + 1 }),
  ),
  lastDeploy: {
    at: '2026-11-22T08:00:59.123Z',
    deployId: '6f1c1c9e-0000-4000-8000-000000000000',
    applied: 3,
    role: 'deployer',
    host: 'identity-alteration-x7k2p',
    runner: '0.1.0',
  },
  lock: {
    pid: 4711,
    applicationName: 'alteration deploy latest',
    host: '10.0.0.7',
    since: '2026-11-22T07:59:59.000Z',
  },
};

const statuses: readonly (readonly [string, StatusReport, string])[] = [
  [
    'of a database under way',
    status,
    `Database     identity at db.example.com:5432 as deployer (PostgreSQL 18.4)
History      public.alteration_history
Version      1.1.1
Applied      18
Pending      1.0.0-beta.1: 1, 1.0.0-beta.2: 2, 1.0.0-rc.1: 3, 1.2.0: 4,
             1.3.0: 5, 1.4.0: 6, next: 7
Late         1
Missing      2
Edited       1
Last deploy  2026-11-22 08:00:59 UTC, 3 alterations by deployer from
             identity-alteration-x7k2p
Lock         held by session 4711 ("alteration deploy latest" from 10.0.0.7,
             connected since 2026-11-22 07:59:59 UTC)`,
  ],
  [
    'of a new database',
    {
      ...status,
      database: { database: 'identity', role: 'deployer', serverVersion: '18.4', pooler: 'none' },
      history: { schema: 'ops', table: 'rows', exists: false },
      version: null,
      counts: { applied: 0, pending: 3, late: 0, missing: 0, edited: 0 },
      pending: [{ version: '1.0.0', count: 3 }],
      lastDeploy: null,
      lock: null,
    },
    `Database     identity as deployer (PostgreSQL 18.4)
History      ops.rows (not there yet)
Version      none: nothing is applied
Applied      0
Pending      1.0.0: 3
Last deploy  none
Lock         free`,
  ],
  [
    'of a database that is up to date',
    {
      ...status,
      counts: { ...status.counts, late: 0, missing: 0, edited: 0 },
      pending: [],
      lastDeploy: null,
      lock: null,
    },
    `Database     identity at db.example.com:5432 as deployer (PostgreSQL 18.4)
History      public.alteration_history
Version      1.1.1
Applied      17
Pending      nothing
Last deploy  none
Lock         free`,
  ],
];

const checks: readonly (readonly [string, CheckReport, string])[] = [
  ['that all is well', checked, 'Up to date: the database is at 1.4.0.'],
  [
    'that all is well though a file is missing',
    { ...checked, missing: [gone] },
    `Applied, but the file is missing:
  1.2.0_beta.2-1706621228-prune-sessions
Up to date: the database is at 1.4.0.`,
  ],
  [
    'what is pending',
    { ...checked, result: 'pending', pending: steps },
    `2 alterations pending to reach latest:
  1.0.0-rc.1  1684944764    move-signing-keys-to-database  late
  1.4.0       1735030812.1  create-webhooks`,
  ],
  [
    'what was edited, and what is pending besides',
    {
      ...checked,
      result: 'integrity',
      edited: [webhooks.file],
      pending: [{ ...sessions, late: false }],
      target: 'next',
    },
    `Edited after it was applied: 1.4.0-1735030812.1-create-webhooks.up.sql
1 alteration pending to reach next:
  next  1758529991  index-sessions-by-expiry`,
  ],
  [
    'that late ones are in the way of a strict order',
    { ...checked, result: 'integrity', pending: [{ ...signingKeys, late: true }] },
    `1 alteration pending to reach latest:
  1.0.0-rc.1  1684944764  move-signing-keys-to-database  late
Late ones break the strict order that was asked for.`,
  ],
];

const recorded: BaselineReport = {
  schemaVersion: 1,
  command: 'baseline',
  database,
  target: '1.4.0',
  dryRun: false,
  version: '1.4.0',
  recorded: [signingKeys, webhooks],
  deployId: '6f1c1c9e-0000-4000-8000-000000000000',
};

const baselines: readonly (readonly [string, BaselineReport, string])[] = [
  [
    'what it recorded',
    recorded,
    'Recorded 2 alterations as applied, without running them: the database is at 1.4.0.',
  ],
  [
    'what it would record',
    { ...recorded, dryRun: true, recorded: [signingKeys], deployId: null },
    `Would record 1 alteration as applied, without running it:
  1.0.0-rc.1  1684944764  move-signing-keys-to-database
Nothing was changed.`,
  ],
  [
    'that there is nothing to record',
    { ...recorded, target: '0.1.0', recorded: [], version: null },
    'Nothing to record: no alteration belongs to 0.1.0.',
  ],
];

const released: ReleaseReport = {
  schemaVersion: 1,
  command: 'release',
  dryRun: false,
  version: '1.5.0',
  renamed: [{ from: sessions.file, to: '1.5.0-1758529991-index-sessions-by-expiry.ts' }],
};

describe('the text of a report', () => {
  it.each(deploys)('of a deploy tells %s', async (_, report, text) => {
    expect(await renderDeploy(report, createPalette('off'))).toBe(text);
  });

  it.each(rollbacks)('of a rollback tells %s', (_, report, text) => {
    expect(renderRollback(report, createPalette('off'))).toBe(text);
  });

  it.each(statuses)('%s tells it at a glance', (_, report, text) => {
    expect(renderStatus(report, createPalette('off'))).toBe(text);
  });

  it.each(checks)('of a check tells %s', (_, report, text) => {
    expect(renderCheck(report, createPalette('off'))).toBe(text);
  });

  it.each(baselines)('of a baseline tells %s', (_, report, text) => {
    expect(renderBaseline(report, createPalette('off'))).toBe(text);
  });

  it('of a release tells the old names and the new', () => {
    const moves = `  next-1758529991-index-sessions-by-expiry.ts
    -> 1.5.0-1758529991-index-sessions-by-expiry.ts`;

    expect(renderRelease(released)).toBe(`Renamed 1 file to 1.5.0:\n${moves}`);
    expect(renderRelease({ ...released, dryRun: true })).toBe(`Would rename 1 file to 1.5.0:\n${moves}`);
    expect(renderRelease({ ...released, renamed: [...released.renamed, ...released.renamed] })).toBe(
      `Renamed 2 files to 1.5.0:\n${moves}\n${moves}`,
    );
    expect(renderRelease({ ...released, renamed: [] })).toBe(
      'Nothing to release: there are no next alterations.',
    );
  });

  it('of a creation tells the files with their folder', () => {
    const created: CreateReport = {
      schemaVersion: 1,
      command: 'create',
      id: '1',
      files: ['next-1-a.up.sql', 'next-1-a.down.sql'],
    };

    expect(renderCreate(created, 'db')).toBe('Created db/next-1-a.up.sql\nCreated db/next-1-a.down.sql');
  });
});

describe('the list', () => {
  it('tells everything where there is room', () => {
    expect(renderList(list, createPalette('off'))).toBe(
      `STATE    VERSION       TIMESTAMP     NAME                                               APPLIED (UTC)         TOOK
applied  1.0.0-rc.1    1684944764    move-signing-keys-to-database                      2026-11-22 08:00  2 m 05 s
late     1.2.0         1706621229    create-webhooks
missing  1.2.0-beta.2  1706621228    prune-sessions                                     2026-11-22 08:00     12 ms
edited   1.4.0         1735030812.1  create-webhooks                                    2026-11-22 08:00     12 ms
pending  next          1758529991    index-sessions-by-expiry (half done: 1 statement)

1 applied, 1 pending, 1 late, 1 missing, 1 edited; the database is at 1.4.0.`,
    );
  });

  it('leaves out the timestamps first on a narrow terminal', () => {
    const report = { ...list, alterations: listed.slice(0, 4) };

    expect(renderList(report, createPalette('off'), 82)).toBe(
      `STATE    VERSION       NAME                           APPLIED (UTC)         TOOK
applied  1.0.0-rc.1    move-signing-keys-to-database  2026-11-22 08:00  2 m 05 s
late     1.2.0         create-webhooks
missing  1.2.0-beta.2  prune-sessions                 2026-11-22 08:00     12 ms
edited   1.4.0         create-webhooks                2026-11-22 08:00     12 ms

1 applied, 1 late, 1 missing, 1 edited; the database is at 1.4.0.`,
    );
  });

  it('fits in 80 columns, coloured or not', () => {
    for (const colours of ['on', 'off'] as const) {
      expect(widthOf(renderList(list, createPalette(colours), 80))).toBeLessThanOrEqual(80);
    }
  });

  it('is short when there is nothing in it', () => {
    expect(renderList({ ...list, alterations: [] }, createPalette('off'))).toBe('No alterations.');
  });
});

describe('a database', () => {
  it.each([
    [database, 'identity at db.example.com:5432 as deployer (PostgreSQL 18.4)'],
    [
      { ...database, host: '/var/run/postgresql', port: undefined },
      'identity at /var/run/postgresql as deployer (PostgreSQL 18.4)',
    ],
  ])('is told without its password: %j', (facts, text) => {
    const { port, ...others } = facts;

    expect(renderDatabase(port === undefined ? others : { ...others, port })).toBe(text);
  });
});

describe('the holder of the lock', () => {
  it.each([
    [
      {
        pid: 1,
        applicationName: 'alteration deploy next',
        host: '10.0.0.7',
        since: '2026-11-22T08:00:00.5Z',
      },
      'held by session 1 ("alteration deploy next" from 10.0.0.7, connected since 2026-11-22 08:00:00 UTC)',
    ],
    [{ pid: 1, applicationName: 'psql' }, 'held by session 1 ("psql")'],
  ])('is told as far as it is known: %j', (holder, text) => {
    expect(renderHolder(holder)).toBe(text);
  });
});

describe('who keeps an alteration waiting', () => {
  it.each([
    [
      {
        pid: 4711,
        applicationName: 'web',
        role: 'app',
        state: 'idle in transaction',
        transactionAgeMs: 31_000,
        lockMode: 'AccessShareLock',
        relation: 'public.users',
        query: 'select * from users',
      },
      'session 4711 ("web" as app, idle in transaction for 31.0 s, AccessShareLock on public.users): select * from users',
    ],
    [{ pid: 1 }, 'session 1'],
    [{ pid: 1, query: 'select 1' }, 'session 1: select 1'],
    [{ pid: 1, applicationName: '', role: 'app' }, 'session 1 (as app)'],
    [{ pid: 1, applicationName: 'psql' }, 'session 1 ("psql")'],
    [{ pid: 1, state: 'active' }, 'session 1 (active)'],
    [{ pid: 1, lockMode: 'ShareLock' }, 'session 1 (ShareLock)'],
    [
      { pid: 0, lockMode: 'RowExclusiveLock', relation: 'public.users' },
      'a prepared transaction (RowExclusiveLock on public.users)',
    ],
  ])('is told as far as it is known: %j', (blocker, text) => {
    expect(renderBlocker(blocker)).toBe(text);
  });
});

describe('every report', () => {
  const all: readonly (readonly [string, (palette: Palette) => string | Promise<string>])[] = [
    ...deploys.map(
      ([what, report]) => [`deploy: ${what}`, (palette: Palette) => renderDeploy(report, palette)] as const,
    ),
    ...rollbacks.map(
      ([what, report]) =>
        [`rollback: ${what}`, (palette: Palette) => renderRollback(report, palette)] as const,
    ),
    ...statuses.map(
      ([what, report]) => [`status ${what}`, (palette: Palette) => renderStatus(report, palette)] as const,
    ),
    ...checks.map(
      ([what, report]) => [`check: ${what}`, (palette: Palette) => renderCheck(report, palette)] as const,
    ),
    ...baselines.map(
      ([what, report]) =>
        [`baseline: ${what}`, (palette: Palette) => renderBaseline(report, palette)] as const,
    ),
    ['list', (palette: Palette) => renderList(list, palette, 80)],
  ];

  it.each(all)('says the same in colour, %s', async (_, render) => {
    const coloured = await render(createPalette('on'));

    expect(stripVTControlCharacters(coloured)).toBe(await render(createPalette('off')));
  });

  it('has colour where something stands out', async () => {
    const rendered = all.map(async ([what, render]) => {
      const coloured = await render(createPalette('on'));
      return coloured === (await render(createPalette('off'))) ? [] : [what];
    });

    expect((await Promise.all(rendered)).flat()).toEqual(
      expect.arrayContaining([
        'deploy: what it applied',
        'status of a new database',
        'check: what is pending',
        'list',
      ]),
    );
  });

  it.each(all)('has no blanks at the ends of its lines, %s', async (_, render) => {
    const lines = (await render(createPalette('off'))).split('\n');

    expect(lines.filter((line) => line !== line.trimEnd())).toEqual([]);
  });
});

function widthOf(text: string): number {
  return Math.max(
    ...stripVTControlCharacters(text)
      .split('\n')
      .map((line) => line.length),
  );
}
