import { describe, expect, it } from 'vitest';
import { examineNames } from '../../src/core/assemble-alterations.ts';
import { findMisplaced } from '../../src/core/order-rule.ts';

interface Given {
  /** Files by the moment at which they came; `new` is not committed. */
  readonly files: Readonly<Record<string, number | 'new'>>;
  readonly released?: readonly string[];
}

function misplacedOf({ files, released = [] }: Given) {
  const { alterations } = examineNames(Object.keys(files));
  const introduced = new Map<string, number>();
  for (const { id, file } of alterations) {
    const moment = files[file];
    if (typeof moment === 'number') introduced.set(id, moment);
  }
  return findMisplaced(alterations, { introduced, released: new Set(released) });
}

describe('a new alteration', () => {
  it.each<[string, Given, readonly string[]]>([
    ['may sort last', { files: { 'next-1-a.ts': 1, 'next-2-b.ts': 2, 'next-3-c.ts': 'new' } }, []],
    [
      'may not sort before one that came earlier',
      { files: { 'next-2-a.ts': 1, 'next-1-b.ts': 2 } },
      ['next-1-b.ts'],
    ],
    [
      'may not sort before one that is committed, while it is not',
      { files: { 'next-2-a.ts': 1, 'next-1-b.ts': 'new' } },
      ['next-1-b.ts'],
    ],
    ['has no order among those that came with it', { files: { 'next-2-a.ts': 1, 'next-1-b.ts': 1 } }, []],
    [
      'has no order among those that are not committed either',
      { files: { 'next-2-a.ts': 'new', 'next-1-b.ts': 'new' } },
      [],
    ],
    [
      'is compared within its version alone',
      { files: { '1.1.0-9-a.ts': 1, 'next-8-b.ts': 1, '1.0.0-3-c.ts': 'new', '1.2.0-4-d.ts': 'new' } },
      [],
    ],
    [
      'is compared within a version that is released already',
      { files: { '1.0.0-2-a.ts': 0, '1.0.0-1-b.ts': 'new', '1.0.0-3-c.ts': 'new' } },
      ['1.0.0-1-b.ts'],
    ],
    [
      'is none once it is released',
      { files: { '1.0.0-2-a.ts': 1, '1.0.0-1-b.ts': 2 }, released: ['1', '2'] },
      [],
    ],
    [
      'is compared by the suffix of its timestamp too',
      { files: { 'next-1.10-a.ts': 1, 'next-1.9-b.ts': 2 } },
      ['next-1.9-b.ts'],
    ],
    [
      'is told along with every other',
      { files: { 'next-9-a.ts': 1, 'next-1-b.ts': 2, 'next-2-c.sql': 3 } },
      ['next-1-b.ts', 'next-2-c.sql'],
    ],
  ])('%s', (_, given, expected) => {
    expect(misplacedOf(given).map(({ file }) => file)).toEqual(expected);
  });

  it('is told with the last of those that came earlier, and what to do', () => {
    const [problem] = misplacedOf({ files: { 'next-3-a.ts': 1, 'next-5-b.ts': 1, 'next-1-c.ts': 'new' } });

    expect(problem?.message).toBe(
      '"next-1-c.ts" is new and sorts before "next-5-b.ts", which was there first; give it a timestamp later than 5.',
    );
  });
});
