import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createPalette } from '../../src/cli/palette.ts';
import { createLogProgress, createPrettyProgress } from '../../src/cli/progress.ts';
import { renderActivity, renderEvent } from '../../src/cli/render-event.ts';
import type { RunEvent } from '../../src/operations/events.ts';
import { createHost } from './host.ts';

const file = '1.0.0-1684473802-seed-default-roles.ts';
const database = {
  host: 'db',
  port: 5432,
  database: 'app',
  role: 'deployer',
  serverVersion: '18.4',
  pooler: 'none',
} as const;
const holder = { pid: 1, applicationName: 'alteration deploy next' };
const blockers = [
  { pid: 7, applicationName: 'web', lockMode: 'AccessShareLock', relation: 'public.users' },
  { pid: 8, state: 'active', transactionAgeMs: 61_000 },
];
const { host: _host, port: _port, ...ownPool } = database;
const unreachable = 'The database at db:5432 cannot be reached: nothing listens there (ECONNREFUSED).';
const at = { alteration: file, index: 3, total: 12 };

const kept: readonly (readonly [RunEvent, string])[] = [
  [{ type: 'connected', database }, 'Database  app at db:5432 as deployer (PostgreSQL 18.4)'],
  [
    { type: 'connected', database: { ...database, pooler: 'transaction' } },
    'Database  app at db:5432 as deployer (PostgreSQL 18.4), through a transaction pooler',
  ],
  [{ type: 'connected', database: ownPool }, 'Database  app as deployer (PostgreSQL 18.4)'],
  [{ type: 'planned', direction: 'up', total: 12, late: 0 }, 'Plan      12 alterations to apply'],
  [{ type: 'planned', direction: 'up', total: 1, late: 1 }, 'Plan      1 alteration to apply, 1 late'],
  [{ type: 'planned', direction: 'down', total: 2, late: 0 }, 'Plan      2 alterations to roll back'],
  [{ type: 'finished', direction: 'up', ...at, durationMs: 12 }, `✔ ${file}  12 ms`],
  [{ type: 'finished', direction: 'down', ...at, durationMs: 1_200 }, `↩ ${file}  1.2 s`],
  [
    {
      type: 'retrying',
      alteration: file,
      attempts: 2,
      reason: 'canceling statement due to lock timeout',
      pauseMs: 400,
    },
    `↻ ${file}  did not get its locks (canceling statement due to lock timeout); tried again in 400 ms`,
  ],
  [
    { type: 'blocked', alteration: file, blockers },
    `⧗ ${file}  blocked by session 7 ("web", AccessShareLock on public.users); session 8 (active for 1 m 01 s)`,
  ],
  [{ type: 'taken-over', alteration: file }, `- ${file}  done by another instance in the meantime`],
  [{ type: 'rest-edited', alteration: file }, `! ${file} was edited after the part of it that is done`],
];

const passing: readonly (readonly [RunEvent, string])[] = [
  [{ type: 'started', direction: 'up', ...at, late: false }, `3/12 ${file}`],
  [{ type: 'started', direction: 'up', ...at, late: true }, `3/12 ${file} (late)`],
  [{ type: 'phase', alteration: file, phase: 'beforeUp' }, `${file} beforeUp`],
  [
    { type: 'statement', ...at, summary: 'create index concurrently' },
    `${file} [3/12] create index concurrently`,
  ],
  [{ type: 'lock-waiting', holder: undefined, waitedMs: 0 }, 'Waiting for the lock'],
  [
    { type: 'lock-waiting', holder, waitedMs: 0 },
    'Waiting: the lock is held by session 1 ("alteration deploy next")',
  ],
  [
    { type: 'connect-waiting', reason: unreachable, waitedMs: 0 },
    'Waiting for db:5432: nothing listens there (ECONNREFUSED).',
  ],
];

const leaked: RunEvent = {
  type: 'leaked',
  alteration: file,
  leaks: ['setting search_path', 'temporary table t'],
};

const toldByTheResult: readonly RunEvent[] = [
  { type: 'missing', alterations: [file] },
  { type: 'renamed', alteration: file, from: 'next', to: '1.0.0' },
  { type: 'checksum-accepted', alteration: file },
];

describe('an event on the screen', () => {
  it.each(kept)('is kept: %j', (event, line) => {
    expect(renderEvent(event, createPalette('off'))).toBe(line);
    expect(stripVTControlCharacters(renderEvent(event, createPalette('on')) ?? '')).toBe(line);
    expect(renderActivity(event)).toBeUndefined();
  });

  it.each(passing)('is shown while it lasts: %j', (event, line) => {
    expect(renderActivity(event)).toBe(line);
    expect(renderEvent(event, createPalette('off'))).toBeUndefined();
  });

  it('is nothing that an author alone wants to know', () => {
    expect(renderActivity(leaked)).toBeUndefined();
    expect(renderEvent(leaked, createPalette('off'))).toBeUndefined();
  });

  it.each(toldByTheResult)('is left to the result: $type', (event) => {
    expect(renderActivity(event)).toBeUndefined();
    expect(renderEvent(event, createPalette('off'))).toBeUndefined();
  });
});

const all = [...kept.map(([event]) => event), ...passing.map(([event]) => event), ...toldByTheResult, leaked];

describe('the progress of a run that nobody watches', () => {
  it('in pretty lines is what is kept, and the waits', async () => {
    const { host, written } = createHost({});
    const progress = await createPrettyProgress(host.stderr, createPalette('off'), 'info');

    for (const event of all) progress.onEvent(event);

    const waits = passing.filter(([{ type }]) =>
      ['connect-waiting', 'lock-waiting', 'blocked'].includes(type),
    );
    expect(written).toEqual({
      stdout: '',
      stderr: [...kept, ...waits].map(([, line]) => `${line}\n`).join(''),
    });
  });

  it('in pretty lines has what an alteration leaves in the session at the level debug', async () => {
    const { host, written } = createHost({});
    const progress = await createPrettyProgress(host.stderr, createPalette('off'), 'debug');

    progress.onEvent(leaked);

    expect(written.stderr).toBe(
      `  ${file} left in the session, now reset: setting search_path, temporary table t\n`,
    );
  });

  it.each(['warn', 'error', 'silent'] as const)(
    'in pretty lines is nothing at the level %s',
    async (level) => {
      const { host, written } = createHost({});
      const progress = await createPrettyProgress(host.stderr, createPalette('off'), level);

      for (const event of all) progress.onEvent(event);
      progress.onActivity('Starting.');

      expect(written.stderr).toBe('');
    },
  );

  it.each([
    ['debug', ['debug', 'info', 'warn']],
    ['info', ['info', 'warn']],
    ['warn', ['warn']],
    ['error', []],
    ['silent', []],
  ] as const)('in log lines has the levels from %s on', async (level, levels) => {
    const { host, written } = createHost({});
    const progress = await createLogProgress(host.stderr, level);

    for (const event of all) progress.onEvent(event);

    expect([...new Set(linesOf(written.stderr).map((line) => line['level']))].sort()).toEqual(levels);
  });

  it.each<[RunEvent, string, string]>([
    [{ type: 'connect-waiting', reason: unreachable, waitedMs: 5_000 }, 'warn', 'waiting for the database'],
    [{ type: 'connected', database }, 'info', 'connected'],
    [{ type: 'lock-waiting', holder, waitedMs: 5_000 }, 'warn', 'waiting for another instance'],
    [{ type: 'blocked', alteration: file, blockers }, 'warn', 'waiting for locks of others'],
    [
      { type: 'retrying', alteration: file, attempts: 1, reason: 'deadlock detected', pauseMs: 250 },
      'warn',
      'tried again after a pause',
    ],
    [{ type: 'taken-over', alteration: file }, 'info', 'done by another instance in the meantime'],
    [{ type: 'rest-edited', alteration: file }, 'warn', 'edited after the part that is done'],
    [leaked, 'debug', 'left in the session and reset'],
  ])('in log lines has what happens beside the alterations: %j', async (event, level, msg) => {
    const { host, written } = createHost({});
    const progress = await createLogProgress(host.stderr, 'debug');

    progress.onEvent(event);

    const { type: _, ...facts } = event;
    expect(linesOf(written.stderr)).toEqual([{ level, time: expect.any(String), ...facts, msg }]);
  });

  it('in log lines has the facts as fields, and a constant message', async () => {
    const { host, written } = createHost({});
    const progress = await createLogProgress(host.stderr, 'info');

    progress.onEvent({ type: 'finished', direction: 'up', ...at, durationMs: 12 });

    expect(linesOf(written.stderr)).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        direction: 'up',
        ...at,
        durationMs: 12,
        msg: 'finished',
      },
    ]);
  });
});

function linesOf(text: string): readonly Record<string, unknown>[] {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}
