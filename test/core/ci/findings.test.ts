import { describe, expect, it } from 'vitest';
import { type Finding, listFindings } from '../../../src/cli/ci/findings.ts';
import type { Ending } from '../../../src/cli/ending.ts';
import {
  checked,
  deployed,
  failed,
  folderChecked,
  gone,
  listed,
  planned,
  rolledBack,
  signingKeys,
  status,
  unreachable,
  unusable,
  webhooks,
} from '../endings.ts';

const find = (document: Ending['document'], exitCode = 0) => listFindings({ document, exitCode });

/** Level, rule and place of each, without the words. */
const outline = (findings: readonly Finding[]) =>
  findings.map(({ level, rule, file = '', line }) =>
    [level, rule, line === undefined ? file : `${file}:${line}`].filter(Boolean).join(' '),
  );

const late = { ...webhooks, late: true };
const inTime = { ...webhooks, late: false };

describe('what a pipeline points at', () => {
  it.each<[string, Ending['document'], number, readonly string[]]>([
    ['nothing of a deploy that went well', deployed, 0, []],
    ['nothing of a rollback', rolledBack, 0, []],
    ['nothing of a database that is up to date', checked, 0, []],
    ['nothing of a folder without a problem', folderChecked, 0, []],
    [
      'what was late, missing or accepted',
      {
        ...deployed,
        applied: [{ ...late, durationMs: 1 }],
        missing: [gone],
        accepted: [signingKeys.file],
      },
      0,
      [`warning late ${webhooks.file}`, `warning edited ${signingKeys.file}`, 'warning missing'],
    ],
    ['what a dry run finds late', planned, 0, [`warning late ${signingKeys.file}`]],
    [
      'what is pending, as what made it fail',
      { ...checked, result: 'pending', pending: [inTime] },
      3,
      ['error pending'],
    ],
    [
      'what is pending and late',
      { ...checked, result: 'pending', pending: [late], missing: [gone] },
      3,
      [`warning late ${webhooks.file}`, 'error pending', 'warning missing'],
    ],
    [
      'what is edited or half rolled back, and not what is pending besides',
      {
        ...checked,
        result: 'integrity',
        pending: [late],
        edited: [signingKeys.file],
        reverting: [gone],
      },
      8,
      [`error edited ${signingKeys.file}`, 'error half-rolled-back', `warning late ${webhooks.file}`],
    ],
    [
      'what is late against the strict order',
      { ...checked, result: 'integrity', pending: [late] },
      8,
      [`error late ${webhooks.file}`],
    ],
    [
      'what a list shows',
      listed,
      0,
      [`warning late ${signingKeys.file}`, 'warning missing', `warning edited ${webhooks.file}`],
    ],
    ['what the status counts', status, 0, ['warning late']],
    [
      'every problem of a folder, one of all of it without a file',
      {
        ...folderChecked,
        result: 'failed',
        problems: [
          { rule: 'sql', file: webhooks.file, line: 4, column: 2, message: 'Syntax error.' },
          { rule: 'git', file: '.', message: 'The history cannot be read.' },
        ],
      },
      8,
      [`error sql ${webhooks.file}:4`, 'error git'],
    ],
    ['where an alteration failed', failed, 4, [`error alteration-failed ${webhooks.file}:3`]],
    [
      'each of several problems',
      unusable,
      4,
      [`error alteration-unusable ${signingKeys.file}`, `error alteration-unusable ${webhooks.file}:3`],
    ],
    ['what is about no file', unreachable, 9, ['error database-unreachable']],
  ])('is %s', (_, document, exitCode, expected) => {
    expect(outline(find(document, exitCode))).toEqual(expected);
  });

  it('tells of a failed alteration what, why and what to do', () => {
    expect(find(failed, 4)).toEqual([
      {
        level: 'error',
        rule: 'alteration-failed',
        title: 'alteration deploy failed, exit code 4',
        file: webhooks.file,
        line: 3,
        column: 1,
        message: `"${webhooks.file}" failed: could not create unique index "hooks_url".\nKey (url)=(https://a|b) is duplicated.\nIt was rolled back: nothing of it stays.`,
      },
    ]);
  });

  it('names an alteration that failed at no known place', () => {
    const { place: _, ...error } = failed.error;

    expect(outline(find({ ...failed, error }, 4))).toEqual([`error alteration-failed ${webhooks.file}`]);
  });

  it('names the command where one was understood', () => {
    expect(find(unreachable, 9)[0]?.title).toBe('alteration failed, exit code 9');
  });

  it('names a few of very many that are pending', () => {
    const pending = Array.from({ length: 12 }, (_, index) => ({ ...inTime, file: `1.4.0-${index}-x.sql` }));

    const [finding] = find({ ...checked, result: 'pending', pending }, 3);

    expect(finding?.message).toMatch(
      /^12 alterations are pending to reach latest: 1\.4\.0-0-x\.sql, .* 1\.4\.0-9-x\.sql and 2 more\.$/,
    );
  });
});
