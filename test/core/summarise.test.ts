import { describe, expect, it } from 'vitest';
import type { Ending } from '../../src/cli/ending.ts';
import { renderEnding } from '../../src/cli/summarise.ts';
import {
  checked,
  database,
  deployed,
  failed,
  folderChecked,
  gone,
  listed,
  planned,
  rolledBack,
  signingKeys,
  status,
  unusable,
  webhooks,
} from './endings.ts';

const line = (document: Ending['document'], exitCode = 0) =>
  renderEnding({ command: document.command, exitCode, document, text: '' });
const pending = [
  { ...webhooks, late: true },
  { ...signingKeys, late: false },
];
const envelope = { schemaVersion: 1 } as const;

describe('an ending in one line', () => {
  it.each<[string, Ending['document'], number]>([
    ['deploy: applied 1 alteration, the database is at 1.4.0', deployed, 0],
    ['deploy: nothing was to do, the database is at 1.4.0', { ...deployed, applied: [] }, 0],
    ['deploy: would apply 2 alterations to reach latest', planned, 0],
    [
      'deploy: nothing would be to do, the database is at no version',
      { ...planned, planned: [], version: null },
      0,
    ],
    ['rollback: rolled back 1 alteration, the database is at 1.3.0', rolledBack, 0],
    ['rollback: nothing was rolled back, the database is at 1.3.0', { ...rolledBack, rolledBack: [] }, 0],
    [
      'rollback: would roll back 1 alteration to reach 1.3.0',
      { ...rolledBack, rolledBack: [], planned: [webhooks] },
      0,
    ],
    ['check: up to date with latest, the database is at 1.4.0', checked, 0],
    [
      'exit 3: 2 alterations are pending to reach latest, 1 of them late',
      { ...checked, result: 'pending', pending },
      3,
    ],
    [
      'exit 8: 1 alteration was edited after being applied, 1 alteration is half rolled back',
      { ...checked, result: 'integrity', edited: [webhooks.file], reverting: [gone] },
      8,
    ],
    ['check: 2 alterations checked, nothing to object to', folderChecked, 0],
    [
      `exit 8: ${webhooks.file}: Syntax error. (1 of 2 problems)`,
      {
        ...folderChecked,
        result: 'failed',
        problems: [
          { rule: 'sql', file: webhooks.file, message: 'Syntax error.' },
          { rule: 'git', file: '.', message: 'No history.' },
        ],
      },
      8,
    ],
    ['list: 1 late, 1 missing, 1 edited; the database is at 1.4.0', listed, 0],
    ['status: the database is at 1.4.0, 3 alterations are pending', status, 0],
    [
      'baseline: recorded 1 alteration as applied, the database is at 1.4.0',
      {
        ...envelope,
        command: 'baseline',
        database,
        target: '1.4.0',
        dryRun: false,
        version: '1.4.0',
        recorded: [webhooks],
        deployId: null,
      },
      0,
    ],
    [
      'create: created next-1-a.up.sql and next-1-a.down.sql',
      { ...envelope, command: 'create', id: '1', files: ['next-1-a.up.sql', 'next-1-a.down.sql'] },
      0,
    ],
    [
      'release: renamed 1 file to 1.5.0',
      { ...envelope, command: 'release', dryRun: false, version: '1.5.0', renamed: [{ from: 'a', to: 'b' }] },
      0,
    ],
    [
      `exit 4: "${webhooks.file}" failed: could not create unique index "hooks_url". It was rolled back: nothing of it stays. 1 alteration was done before.`,
      failed,
      4,
    ],
    [
      `exit 4: 2 problems in the alterations. "${signingKeys.file}" has no default export. Syntax error at or near "tabel". Nothing was run.`,
      unusable,
      4,
    ],
  ])('%s', (expected, document, exitCode) => {
    expect(line(document, exitCode)).toBe(expected);
  });

  it('stays one line whatever PostgreSQL says', () => {
    const document = { ...failed, error: { ...failed.error, message: 'one\n  two\r\nthree' } };

    expect(line(document, 4)).toMatch(/^exit 4: one two three /);
  });
});
