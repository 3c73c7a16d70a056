import { describe, expect, it } from 'vitest';
import { assembleAlterations, examineNames } from '../../src/core/assemble-alterations.ts';
import { FolderError } from '../../src/core/errors.ts';
import { refusalOf } from './refusal-of.ts';

describe('the alterations of a folder', () => {
  it('come in order of version, then of timestamp, next last', () => {
    const files = [
      'next-1-a.ts',
      '1.10.0-2-a.ts',
      '1.9.0-3-a.ts',
      '1.9.0_beta.10-4-a.ts',
      '1.9.0_beta.9-5-a.ts',
      '1.9.0-6.10-a.ts',
      '1.9.0-6.9-a.ts',
      '1.9.0-6-a.ts',
      '1.9.0-10-a.ts',
    ];

    expect(assembleAlterations(files, 'alterations').map(({ file }) => file)).toEqual([
      '1.9.0_beta.9-5-a.ts',
      '1.9.0_beta.10-4-a.ts',
      '1.9.0-3-a.ts',
      '1.9.0-6-a.ts',
      '1.9.0-6.9-a.ts',
      '1.9.0-6.10-a.ts',
      '1.9.0-10-a.ts',
      '1.10.0-2-a.ts',
      'next-1-a.ts',
    ]);
  });

  it('leave other files out', () => {
    const files = ['README.md', '1.0.0-1-a.ts', '1.0.0-1-a.d.ts', 'utils.ts', '.gitkeep'];

    expect(assembleAlterations(files, 'alterations')).toHaveLength(1);
  });

  it('join an .up.sql with its .down.sql', () => {
    const files = ['1.0.0-1-a.down.sql', '1.0.0-1-a.up.sql'];

    expect(assembleAlterations(files, 'alterations')).toMatchObject([
      { id: '1', file: '1.0.0-1-a.up.sql', downFile: '1.0.0-1-a.down.sql' },
    ]);
  });

  it('may have an .up.sql without a way back', () => {
    const [alteration] = assembleAlterations(['1.0.0-1-a.up.sql'], 'alterations');

    expect(alteration).toMatchObject({ file: '1.0.0-1-a.up.sql' });
    expect(alteration).not.toHaveProperty('downFile');
  });

  it('are none in an empty folder', () => {
    expect(assembleAlterations([], 'alterations')).toEqual([]);
  });
});

describe('names that cannot be the names of alterations', () => {
  it('leave the others what they are', () => {
    const files = ['v1.0.0-1-a.ts', '1.0.0-2-b.ts', '1.0.0-2-c.ts', 'next-4-d.ts', '1.0.0-3-e.ts'];

    const { alterations, problems } = examineNames(files);

    expect(alterations.map(({ file }) => file)).toEqual(['1.0.0-3-e.ts', 'next-4-d.ts']);
    expect(problems.map(({ file }) => file)).toEqual(['v1.0.0-1-a.ts', '1.0.0-2-b.ts']);
  });

  it.each([
    [
      'a timestamp in two files',
      ['1.0.0-1-a.ts', '1.1.0-1-b.ts'],
      '"1.0.0-1-a.ts" and "1.1.0-1-b.ts" have the timestamp 1, which is the identity of one alteration; give each its own.',
    ],
    [
      'a timestamp in three files',
      ['1.0.0-1-a.ts', '1.0.0-1-b.sql', 'next-1-c.ts'],
      '"1.0.0-1-a.ts", "1.0.0-1-b.sql" and "next-1-c.ts" have the timestamp 1, which is the identity of one alteration; give each its own.',
    ],
    [
      'a timestamp written with a suffix of zero',
      ['1.0.0-1-a.ts', '1.0.0-1.0-b.ts'],
      '"1.0.0-1-a.ts" and "1.0.0-1.0-b.ts" have the timestamp 1, which is the identity of one alteration; give each its own.',
    ],
    [
      'a suffix written with a leading zero',
      ['1.0.0-1.01-a.ts', '1.0.0-1.1-b.ts'],
      '"1.0.0-1.01-a.ts" and "1.0.0-1.1-b.ts" have the timestamp 1.1, which is the identity of one alteration; give each its own.',
    ],
    [
      'a module beside the one it was compiled to',
      ['1.0.0-1-a.js', '1.0.0-1-a.ts'],
      '"1.0.0-1-a.js" and "1.0.0-1-a.ts" are the same alteration; keep one of them, or an .up.sql with its .down.sql.',
    ],
    [
      'a .sql file beside an .up.sql',
      ['1.0.0-1-a.sql', '1.0.0-1-a.up.sql'],
      '"1.0.0-1-a.sql" and "1.0.0-1-a.up.sql" are the same alteration; keep one of them, or an .up.sql with its .down.sql.',
    ],
    [
      'a .sql file beside a pair',
      ['1.0.0-1-a.down.sql', '1.0.0-1-a.sql', '1.0.0-1-a.up.sql'],
      '"1.0.0-1-a.down.sql", "1.0.0-1-a.sql" and "1.0.0-1-a.up.sql" are the same alteration; keep one of them, or an .up.sql with its .down.sql.',
    ],
    [
      'two ways back',
      ['1.0.0-1-a.down.sql', '1.0.0-1-b.down.sql'],
      '"1.0.0-1-a.down.sql" and "1.0.0-1-b.down.sql" have the timestamp 1, which is the identity of one alteration; give each its own.',
    ],
    [
      'a pair with two names',
      ['1.0.0-1-add-users.up.sql', '1.0.0-1-add-user.down.sql'],
      '"1.0.0-1-add-users.up.sql" and "1.0.0-1-add-user.down.sql" have the timestamp 1, and differ in version or name; a pair has both in common.',
    ],
    [
      'a pair of which one half is released',
      ['1.0.0-1-a.up.sql', 'next-1-a.down.sql'],
      '"1.0.0-1-a.up.sql" and "next-1-a.down.sql" have the timestamp 1, and differ in version or name; a pair has both in common.',
    ],
    [
      'a way back alone',
      ['1.0.0-1-a.down.sql'],
      '"1.0.0-1-a.down.sql" has no .up.sql beside it; add it, or remove this one.',
    ],
    [
      'a malformed name',
      ['v1.0.0-1-a.ts'],
      '"v1.0.0-1-a.ts" has "v1.0.0" where a version belongs; file names carry no leading "v".',
    ],
  ])('are refused: %s', async (_, files, message) => {
    const refusal = await refuse([...files, '0.9.0-9-fine.ts']);

    expect(refusal).toMatchObject({
      message,
      problems: [],
      hint: 'Nothing was run. The alterations folder is "/app/alterations".',
    });
  });

  it('are the same refusal in whatever order the folder is listed', async () => {
    const files = ['1.0.0-1-a.ts', '1.1.0-1-b.ts', 'v1.0.0-1-a.ts', '1.0.0-2-a.down.sql'];

    expect((await refuse(files.toReversed())).problems).toEqual((await refuse(files)).problems);
  });

  it('are all told at once, each with its file', async () => {
    const refusal = await refuse([
      'v1.0.0-1-a.ts',
      '1.0.0-1-a.ts',
      '1.0.0-2-a.ts',
      '1.0.0-2-b.ts',
      '1.0.0-3-a.down.sql',
      'next-add.ts',
    ]);

    expect(refusal.message).toBe('The file names in "/app/alterations" have 4 problems.');
    expect(refusal.problems.map(({ file }) => file)).toEqual([
      'next-add.ts',
      'v1.0.0-1-a.ts',
      '1.0.0-2-a.ts',
      '1.0.0-3-a.down.sql',
    ]);
  });
});

function refuse(files: readonly string[]): Promise<FolderError> {
  return refusalOf(FolderError, () => assembleAlterations(files, '/app/alterations'));
}
