import { describe, expect, it } from 'vitest';
import { excerptAt, placeAt } from '../../src/folder/excerpt.ts';

const poem = 'one\ntwo\nthree\nfour\nfive\n';

describe('an excerpt', () => {
  it.each<[string, number, number, string]>([
    ['in the middle', 3, 3, '1 | one\n2 | two\n3 | three\n  |   ^\n4 | four'],
    ['at the start', 1, 1, '1 | one\n  | ^\n2 | two'],
    ['in the last line', 5, 4, '3 | three\n4 | four\n5 | five\n  |    ^'],
    ['past the end of a line', 1, 9, '1 | one\n  |    ^\n2 | two'],
  ])('shows two lines before and one after, %s', (_, line, column, excerpt) => {
    expect(excerptAt(poem, line, column)).toBe(excerpt);
  });

  it('aligns numbers of different lengths', () => {
    expect(excerptAt(`${'\n'.repeat(8)}nine\nten`, 9, 1)).toBe(' 7 |\n 8 |\n 9 | nine\n   | ^\n10 | ten');
  });

  it('puts the caret under tabs, wide characters and accents where a terminal shows them', () => {
    expect(excerptAt('\ta 😀 e\u0301 x', 1, 9)).toBe('1 | \ta 😀 e\u0301 x\n  | \t       ^');
  });

  it('does not let a file speak to the terminal', () => {
    expect(excerptAt('a\u001b[31mb', 1, 1)).toBe('1 | a\uFFFD[31mb\n  | ^');
  });

  it('cuts a long line around the caret', () => {
    const [line = '', caret = ''] = excerptAt(`${'a'.repeat(300)}X${'b'.repeat(300)}`, 1, 301).split('\n');

    expect(line).toBe(`1 | …${'a'.repeat(50)}X${'b'.repeat(49)}…`);
    expect(caret.indexOf('^')).toBe(line.indexOf('X'));
  });

  it('shows CRLF lines like any other', () => {
    expect(excerptAt('one\r\ntwo\r\n', 2, 1)).toBe('1 | one\n2 | two\n  | ^');
  });
});

describe('the place of an offset', () => {
  it.each<[number, number, number]>([
    [0, 1, 1],
    [1, 1, 2],
    [3, 1, 3],
    [4, 2, 1],
    [6, 2, 3],
    [7, 3, 1],
  ])('%i is line %i, column %i, in characters', (offset, line, column) => {
    expect(placeAt('a😀\nbc\n', offset)).toMatchObject({ line, column });
  });
});
