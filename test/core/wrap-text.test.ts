import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hidePasswords } from '../../src/cli/hide-passwords.ts';
import { createPalette } from '../../src/cli/palette.ts';
import { wrapText } from '../../src/cli/wrap-text.ts';

describe('text in a narrow terminal', () => {
  it.each([
    ['is broken between words', 'one two three', 'one two\nthree'],
    ['keeps its own lines', 'one\n\ntwo three four', 'one\n\ntwo\nthree\nfour'],
    ['keeps its indentation', '  one two three', '  one\n  two\n  three'],
    ['has a word that is too long on a line of its own', 'one abcdefghijkl two', 'one\nabcdefghijkl\ntwo'],
    ['stays as it is where it fits', 'one two', 'one two'],
    [
      'leaves an excerpt alone',
      '  1 | select one from two\n    |        ^',
      '  1 | select one from two\n    |        ^',
    ],
  ])('%s', (_, text, wrapped) => {
    expect(wrapText(text, 8)).toBe(wrapped);
  });

  it('is as wide in colour as without', () => {
    const { bad, strong } = createPalette('on');

    expect(wrapText(`${bad('one')} ${strong('two')} three`, 8)).toBe(`${bad('one')} ${strong('two')}\nthree`);
  });

  it('loses no word, and is too wide only for a word that is', () => {
    const words = fc.array(fc.stringMatching(/^[a-z]{1,15}$/), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(words, fc.integer({ min: 5, max: 60 }), (sentence, width) => {
        const lines = wrapText(sentence.join(' '), width).split('\n');

        expect(lines.join(' ')).toBe(sentence.join(' '));
        expect(lines.filter((line) => line.length > width && line.includes(' '))).toEqual([]);
      }),
    );
  });
});

describe('a password', () => {
  it.each([
    ['postgres://app:s3cret@db:5432/app', 'postgres://app:***@db:5432/app'],
    ['"postgresql://app:s3:c/r@et@db/app" is', '"postgresql://app:***@db/app" is'],
    ['postgres://:s3cret@db', 'postgres://:***@db'],
    ['postgres://app@db:5432/app', 'postgres://app@db:5432/app'],
    ['postgres://db:5432/app', 'postgres://db:5432/app'],
    ['deplyo', 'deplyo'],
  ])('in "%s" is not shown', (text, shown) => {
    expect(hidePasswords(text)).toBe(shown);
  });
});
