import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDuration, renderDuration } from '../../src/core/duration.ts';

describe('a duration', () => {
  it.each([
    ['0', 0],
    ['0s', 0],
    ['500ms', 500],
    ['5s', 5_000],
    ['2m', 120_000],
    ['1h', 3_600_000],
    ['1m30s', 90_000],
    ['1h2m3s4ms', 3_723_004],
    ['1.5s', 1_500],
    ['0.25m', 15_000],
    ['05s', 5_000],
  ])('%s is %i milliseconds', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each([
    '',
    '5',
    '00',
    's',
    'ms',
    '5 s',
    ' 5s',
    '5s ',
    '-5s',
    '+5s',
    '5S',
    '1d',
    '5sec',
    '1.s',
    '.5s',
    '1e3s',
    '5s3',
  ])('is not read from "%s"', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });

  it.each([
    [0, '0 ms'],
    [0.4, '0 ms'],
    [3, '3 ms'],
    [999, '999 ms'],
    [999.5, '1.0 s'],
    [1_249, '1.2 s'],
    [59_949, '59.9 s'],
    [59_950, '1 m 00 s'],
    [125_000, '2 m 05 s'],
    [3_599_499, '59 m 59 s'],
    [3_599_500, '1 h 00 m'],
    [3_725_000, '1 h 02 m'],
    [90_000_000, '25 h 00 m'],
  ])('of %d milliseconds is shown as "%s"', (ms, text) => {
    expect(renderDuration(ms)).toBe(text);
  });

  it('is read back from what is shown, as exactly as that is', () => {
    const units: readonly [limit: number, unit: number][] = [
      [1_000, 1],
      [60_000, 100],
      [3_600_000, 1_000],
      [Number.POSITIVE_INFINITY, 60_000],
    ];
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 100_000_000 }), (ms) => {
        const shown = renderDuration(ms).replaceAll(' ', '');
        const unit = units.find(([limit]) => ms < limit)?.[1] ?? 0;
        expect(Math.abs((parseDuration(shown) ?? Number.NaN) - ms)).toBeLessThanOrEqual(unit);
      }),
    );
  });
});
