import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { renderAnnotation, renderWorkflowCommand } from '../../../src/cli/ci/github-commands.ts';
import { describeOutputs, renderOutputs } from '../../../src/cli/ci/github-outputs.ts';
import { renderSourcePath } from '../../../src/cli/ci/source-path.ts';
import type { Ending } from '../../../src/cli/ending.ts';
import { readGithubLog, readGithubOutputs } from '../../support/github-log.ts';
import {
  checked,
  deployed,
  failed,
  folderChecked,
  listed,
  planned,
  rolledBack,
  status,
  unreachable,
  webhooks,
} from '../endings.ts';

const root = { folder: '/repo/db/alterations', named: 'db/alterations', checkout: '/repo' };

describe('an annotation', () => {
  it('stands at the line of the file in the checkout', () => {
    const finding = {
      level: 'error',
      rule: 'x',
      title: 'alteration deploy failed, exit code 4',
      message: '100% wrong:\nat "a", b',
      file: webhooks.file,
      line: 3,
      column: 7,
    } as const;

    expect(renderAnnotation(finding, root)).toBe(
      `::error file=db/alterations/${webhooks.file},line=3,col=7,title=alteration deploy failed%2C exit code 4::100%25 wrong:%0Aat "a", b`,
    );
  });

  it('without a place has its title alone', () => {
    const finding = {
      level: 'warning',
      rule: 'missing',
      title: 'Missing: x',
      message: 'It is gone.',
    } as const;

    expect(renderAnnotation(finding, root)).toBe('::warning title=Missing%3A x::It is gone.');
  });

  it('is read back as it was, whatever it says', () => {
    const word = fc.string({ unit: 'grapheme', minLength: 1 });
    fc.assert(
      fc.property(word, word, fc.string({ unit: 'binary' }), (file, title, message) => {
        const { commands } = readGithubLog(renderWorkflowCommand('error', { file, title }, message));

        expect(commands).toEqual([{ name: 'error', properties: { file, title }, message }]);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('the path of a file', () => {
  it.each([
    ['in the checkout', root, 'db/alterations/a.sql'],
    ['at its root', { folder: '/repo', named: '.', checkout: '/repo' }, 'a.sql'],
    ['outside of it', { ...root, checkout: '/repo2' }, 'db/alterations/a.sql'],
    ['outside of it, by an absolute name', { ...root, named: '/repo/db', checkout: '/x' }, '/repo/db/a.sql'],
    ['beside it', { ...root, named: '../db', checkout: '/repo/db/alterations2' }, '../db/a.sql'],
    ['without one', { ...root, checkout: undefined }, 'db/alterations/a.sql'],
    ['in a folder that begins with two dots', { ...root, folder: '/repo/..db' }, '..db/a.sql'],
  ])('%s', (_, given, path) => {
    expect(renderSourcePath('a.sql', given)).toBe(path);
  });

  it('of the folder itself is the folder', () => {
    expect(renderSourcePath('.', root)).toBe('db/alterations');
  });
});

describe('the outputs of a step', () => {
  const nothing = { applied: '0', 'rolled-back': '0', planned: '0', pending: '', version: '' };

  it.each<[string, Ending['document'], number, Partial<Record<string, string>>]>([
    ['a deploy', { ...deployed, pending: 2 }, 0, { applied: '1', pending: '2', version: '1.4.0' }],
    [
      'a dry run, of which all is pending still',
      planned,
      0,
      { planned: '2', pending: '3', version: '1.3.0' },
    ],
    ['an empty database', { ...planned, version: null }, 0, { planned: '2', pending: '3' }],
    ['a rollback', rolledBack, 0, { 'rolled-back': '1', version: '1.3.0' }],
    [
      'a check',
      { ...checked, result: 'pending', pending: [{ ...webhooks, late: false }] },
      3,
      { pending: '1', version: '1.4.0' },
    ],
    ['a check of the folder', folderChecked, 0, {}],
    ['a list', listed, 0, { pending: '1', version: '1.4.0' }],
    ['a status', status, 0, { pending: '3', version: '1.4.0' }],
    ['a deploy that failed on its way', failed, 4, { applied: '1', pending: '2' }],
    [
      'a rollback that failed on its way',
      {
        ...failed,
        error: { ...failed.error, progress: { direction: 'down', done: ['a', 'b'], remaining: ['c'] } },
      },
      4,
      { 'rolled-back': '2' },
    ],
    ['a failure before anything was looked at', unreachable, 9, {}],
  ])('of %s', (_, document, exitCode, known) => {
    expect(describeOutputs({ document, exitCode })).toEqual({
      ...nothing,
      ...known,
      'exit-code': String(exitCode),
    });
  });

  it('of a defect are no more than the exit code: it may come after all was done', () => {
    const document = { ...unreachable, error: { ...unreachable.error, code: 'defect', exitCode: 1 } };

    expect(describeOutputs({ document, exitCode: 1 })).toEqual({ 'exit-code': '1' });
  });

  it('are read back as they were, line breaks and delimiters included', () => {
    const outputs = { a: '1', empty: '', lines: 'one\ntwo=2\n', equals: 'x=y', sneaky: '\nb=evil<<EOF' };

    expect(readGithubOutputs(renderOutputs(outputs, 'd_41c2'))).toEqual(outputs);
  });
});
