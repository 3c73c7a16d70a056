import fc from 'fast-check';
import semver from 'semver';
import { describe, expect, it, test } from 'vitest';
import { alterationId, compareAlterations, parseAlterationId } from '../../src/core/alteration.ts';
import { compareVersions, parseReleasedVersion, renderVersionInFileName } from '../../src/core/version.ts';

describe('a version', () => {
  it.each([
    ['1.0.0', '1.0.0'],
    ['v1.0.0', '1.0.0'],
    ['1.0.0-beta.10', '1.0.0-beta.10'],
    ['1.0.0-beta-x', '1.0.0-beta-x'],
    [' 1.0.0 ', '1.0.0'],
  ])('is read from "%s" as "%s"', (text, version) => {
    expect(parseReleasedVersion(text)).toBe(version);
  });

  it.each([
    '',
    '1',
    '1.0',
    '1.0.0.0',
    '01.0.0',
    '1.0.x',
    '^1.0.0',
    '1.0.0+build',
    '1.0.0_beta.1',
    'next',
    'latest',
  ])('is not read from "%s"', (text) => {
    expect(parseReleasedVersion(text)).toBeUndefined();
  });

  it.each([
    ['1.0.0', '1.0.0'],
    ['1.0.0-beta.10', '1.0.0_beta.10'],
    ['1.0.0-beta-x.1', '1.0.0_beta_x.1'],
    ['next', 'next'],
  ])('"%s" stands in a file name as "%s"', (version, text) => {
    expect(renderVersionInFileName(version)).toBe(text);
  });

  it('has its place among the others by semver, and next comes last', () => {
    const ordered = [
      '0.9.0',
      '1.0.0-alpha',
      '1.0.0-alpha.1',
      '1.0.0-alpha.beta',
      '1.0.0-beta.2',
      '1.0.0-beta.10',
      '1.0.0-rc.1',
      '1.0.0',
      '1.0.1',
      '1.2.0',
      '1.10.0',
      '2.0.0-beta.1',
      'next',
    ];

    expect(ordered.toReversed().sort(compareVersions)).toEqual(ordered);
  });

  it.each(['1.0.0', '1.0.0-beta.1', 'next'])('%s is equal to itself', (version) => {
    expect(compareVersions(version, version)).toBe(0);
  });
});

describe('versions, plain or not, are what semver says', () => {
  const number = fc.oneof(
    fc.nat({ max: 20 }).map(String),
    fc.constantFrom('00', '01', '999999999999999', '9007199254740991', '9007199254740992', '', 'x'),
  );
  const three = fc.tuple(number, number, number).map((numbers) => numbers.join('.'));
  const identifier = fc.constantFrom('0', '1', '10', '01', 'a', 'beta', 'b-1', '-', '', '9007199254740993');
  const prerelease = fc
    .array(identifier, { minLength: 1, maxLength: 3 })
    .map((parts) => `-${parts.join('.')}`);
  const before = fc.constantFrom('', '', '', 'v', ' ', 'V', '=', '0');
  const after = fc.oneof(
    { weight: 4, arbitrary: fc.constant('') },
    prerelease,
    fc.constantFrom('+b', '\n', '.0'),
  );
  const text = fc.oneof(
    { weight: 9, arbitrary: fc.tuple(before, three, after).map((parts) => parts.join('')) },
    fc.string(),
  );
  const canonical = text.map((one) => parseReleasedVersion(one)).filter((one) => one !== undefined);

  test('when they are read', () => {
    fc.assert(
      fc.property(text, (given) => {
        const parsed = semver.parse(given);
        const expected = parsed && parsed.build.length === 0 ? parsed.version : undefined;

        expect(parseReleasedVersion(given)).toBe(expected);
      }),
      { numRuns: 1_000 },
    );
  });

  test('when they are ordered', () => {
    fc.assert(
      fc.property(canonical, canonical, (left, right) => {
        expect(compareVersions(left, right)).toBe(semver.compare(left, right));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('the identity of an alteration', () => {
  it.each([
    ['1674032095', 1_674_032_095, 0],
    ['1674032095.3', 1_674_032_095, 3],
    ['1674032095.30', 1_674_032_095, 30],
    ['0', 0, 0],
  ])('%s is read and written back the same', (id, seconds, suffix) => {
    expect(parseAlterationId(id)).toEqual({ seconds, suffix });
    expect(alterationId(seconds, suffix)).toBe(id);
  });

  it.each(['', 'a', '1.', '.1', '1.2.3', '-1', '1e3', ' 1', '12345678901', '1.1234567890'])(
    'is not read from "%s"',
    (text) => {
      expect(parseAlterationId(text)).toBeUndefined();
    },
  );
});

describe('the order of alterations', () => {
  const at = (version: string, seconds: number, suffix = 0) => ({ version, seconds, suffix });

  it.each([
    ['the version decides before the timestamp', at('1.0.0', 9), at('1.1.0', 1)],
    ['within a version the seconds decide', at('1.0.0', 9, 5), at('1.0.0', 10)],
    ['within a second the suffix decides, as a number', at('1.0.0', 9, 9), at('1.0.0', 9, 10)],
    ['no suffix comes before one', at('1.0.0', 9), at('1.0.0', 9, 1)],
    ['next comes after every version', at('99.0.0', 9), at('next', 1)],
  ])('%s', (_, earlier, later) => {
    expect(compareAlterations(earlier, later)).toBeLessThan(0);
    expect(compareAlterations(later, earlier)).toBeGreaterThan(0);
  });
});
