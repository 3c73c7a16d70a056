import { describe, expect, it } from 'vitest';
import { examineNames } from '../../src/core/assemble-alterations.ts';
import { describeEdit, matchReleased } from '../../src/core/released-rule.ts';

const origin = 'was released with v1.4.0';

const releasedOf = (...files: readonly string[]) =>
  examineNames(files).alterations.map((alteration) => ({ alteration, origin }));

function match(released: readonly string[], now: readonly string[], claimed: readonly string[] = []) {
  return matchReleased(releasedOf(...released), examineNames(now).alterations, new Set(claimed));
}

describe('a released alteration', () => {
  it.each<[string, string, readonly string[]]>([
    ['is found as it was', '1.4.0-1-a.ts', ['1.4.0-1-a.ts']],
    ['is found under other words', '1.4.0-1-a.ts', ['1.4.0-1-b.ts']],
    ['is found after it was compiled', '1.4.0-1-a.ts', ['1.4.0-1-a.js']],
    ['is found as a pair', '1.4.0-1-a.sql', ['1.4.0-1-a.up.sql', '1.4.0-1-a.down.sql']],
  ])('%s', (_, released, now) => {
    const { kept, problems } = match([released], now);

    expect(problems).toEqual([]);
    expect(kept.map((one) => [one.released.alteration.file, one.now.file])).toEqual([[released, now[0]]]);
  });

  it.each<[string, readonly string[], readonly unknown[]]>([
    [
      'may not be gone',
      ['1.4.0-2-b.ts'],
      [
        {
          file: '1.4.0-1-a.ts',
          message:
            '"1.4.0-1-a.ts" was released with v1.4.0 and is no longer there; restore it: the databases that have it applied would miss it.',
        },
      ],
    ],
    [
      'may not move to another version',
      ['1.5.0-1-a.ts', '1.4.0-2-b.ts'],
      [
        {
          file: '1.5.0-1-a.ts',
          message:
            '"1.5.0-1-a.ts" was released with v1.4.0 as "1.4.0-1-a.ts"; give it the version 1.4.0 again.',
        },
      ],
    ],
    [
      'may not become next again',
      ['next-1-a.ts', '1.4.0-2-b.ts'],
      [expect.objectContaining({ file: 'next-1-a.ts' })],
    ],
  ])('%s', (_, now, expected) => {
    const { kept, problems } = match(['1.4.0-1-a.ts', '1.4.0-2-b.ts'], now);

    expect(problems).toEqual(expected);
    expect(kept.map((one) => one.now.file)).toEqual(['1.4.0-2-b.ts']);
  });

  it('is not gone where its timestamp stands twice, which is told already', () => {
    expect(match(['1.4.0-1-a.ts'], ['1.4.0-1-a.ts', 'next-1-b.ts'], ['1'])).toEqual({
      kept: [],
      problems: [],
    });
  });
});

describe('an edit', () => {
  const [kept] = match(['1.4.0-1-a.up.sql', '1.4.0-1-a.down.sql'], ['1.4.0-1-a.up.sql']).kept;

  it.each([
    [
      'of a file says to restore it',
      { kind: 'content', file: '1.4.0-1-a.up.sql' },
      '"1.4.0-1-a.up.sql" was released with v1.4.0 and has been edited since; restore it, and put the change into a new alteration.',
    ],
    [
      'of what it imports says to restore that',
      { kind: 'import', file: '1.4.0-1-a.up.sql' },
      '"1.4.0-1-a.up.sql" was released with v1.4.0, and a file that it imports has been edited since; restore that file, and put the change into a new one beside it.',
    ],
    [
      'that takes away its way back says to restore that',
      { kind: 'no-way-back', file: '1.4.0-1-a.up.sql', downFile: '1.4.0-1-a.down.sql' },
      '"1.4.0-1-a.up.sql" was released with v1.4.0 together with "1.4.0-1-a.down.sql", which is no longer there; restore it.',
    ],
  ] as const)('%s', (_, edit, message) => {
    expect(kept && describeEdit(kept, edit)).toEqual({ file: '1.4.0-1-a.up.sql', message });
  });
});
