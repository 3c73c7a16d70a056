import { describe, expect, it } from 'vitest';
import { createPalette } from '../../src/cli/palette.ts';
import { renderFolderCheck } from '../../src/cli/render-folder-check.ts';
import type { FolderCheckReport, FolderProblem } from '../../src/operations/reports.ts';

const passed: FolderCheckReport = {
  schemaVersion: 1,
  command: 'check',
  mode: 'ci',
  comparedWith: 'v1.4.0',
  notCompared: null,
  alterations: 41,
  problems: [],
  result: 'passed',
};

const problem: FolderProblem = { rule: 'load', file: '1.4.0-1-a.ts', message: 'It is wrong.' };

function render(report: Partial<FolderCheckReport>, folder = 'alterations'): string {
  return renderFolderCheck({ ...passed, ...report }, folder, createPalette('off'));
}

describe('the check of a folder', () => {
  it.each<[string, Partial<FolderCheckReport>, string]>([
    ['a release', {}, '41 alterations: no problems (compared with v1.4.0).'],
    ['one alteration', { alterations: 1 }, '1 alteration: no problems (compared with v1.4.0).'],
    ['no tags', { comparedWith: 'history' }, "41 alterations: no problems (compared with git's history)."],
    [
      'no repository',
      { comparedWith: null, notCompared: 'no-repository' },
      '41 alterations: no problems (not in a git repository: order and released files were not compared).',
    ],
    [
      'no git',
      { comparedWith: null, notCompared: 'no-git' },
      '41 alterations: no problems (there is no git here: order and released files were not compared).',
    ],
    [
      'a folder that git ignores',
      { comparedWith: null, notCompared: 'ignored' },
      '41 alterations: no problems (git ignores the folder: order and released files were not compared).',
    ],
  ])('says in a line what it was compared with: %s', (_, report, expected) => {
    expect(render(report)).toBe(expected);
  });

  it.each<[string, Partial<FolderProblem>, string]>([
    ['line and column', { line: 12, column: 3 }, 'alterations/1.4.0-1-a.ts:12:3: It is wrong.'],
    ['a line alone', { line: 12 }, 'alterations/1.4.0-1-a.ts:12: It is wrong.'],
    ['neither', {}, 'alterations/1.4.0-1-a.ts: It is wrong.'],
    ['no file', { file: '.' }, 'alterations: It is wrong.'],
    [
      'a message of several lines',
      { message: 'It is\n\twrong.\r\n' },
      'alterations/1.4.0-1-a.ts: It is wrong.',
    ],
  ])('tells a problem in one line: %s', (_, place, expected) => {
    expect(render({ problems: [{ ...problem, ...place }], result: 'failed' }).split('\n')).toEqual([
      expected,
      '1 problem in 41 alterations.',
    ]);
  });

  it.each([
    ['db/alterations/', 'db/alterations/1.4.0-1-a.ts: It is wrong.'],
    ['../my alterations', '../my alterations/1.4.0-1-a.ts: It is wrong.'],
    ['.', './1.4.0-1-a.ts: It is wrong.'],
    ['/srv/alterations', '/srv/alterations/1.4.0-1-a.ts: It is wrong.'],
  ])('names files as the folder was named: %s', (folder, expected) => {
    expect(render({ problems: [problem] }, folder).split('\n')[0]).toBe(expected);
  });

  it('counts problems, and says what was not compared', () => {
    const report: Partial<FolderCheckReport> = {
      problems: [problem, problem],
      comparedWith: null,
      notCompared: 'no-git',
    };

    expect(render(report).split('\n').at(-1)).toBe(
      '2 problems in 41 alterations (there is no git here: order and released files were not compared).',
    );
  });

  it('does not say twice that the history is a problem', () => {
    const report: Partial<FolderCheckReport> = {
      problems: [problem],
      comparedWith: null,
      notCompared: 'problem',
    };

    expect(render(report).split('\n').at(-1)).toBe('1 problem in 41 alterations.');
  });
});
