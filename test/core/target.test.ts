import { describe, expect, it, test } from 'vitest';
import { checkTargetArgument } from '../../src/cli/target-argument.ts';
import { InvalidTargetError } from '../../src/core/errors.ts';
import { parseTarget, renderTarget, targetIncludes } from '../../src/core/target.ts';
import { refusalOf } from './refusal-of.ts';

describe('a target', () => {
  it.each([
    ['latest', 'latest'],
    ['next', 'next'],
    ['1.4.0', '1.4.0'],
    ['v1.4.0', '1.4.0'],
    ['0.0.0', '0.0.0'],
    ['1.0.0-beta.10', '1.0.0-beta.10'],
    ['1.0.0_beta.10', '1.0.0-beta.10'],
  ])('is read from "%s" and written as "%s"', (text, written) => {
    expect(renderTarget(parseTarget(text))).toBe(written);
  });

  it.each([
    ['1.4', 'A version has three numbers: did you mean "1.4.0"?'],
    ['v1.4', 'A version has three numbers: did you mean "1.4.0"?'],
    ['2', 'A version has three numbers: did you mean "2.0.0"?'],
    ['1.4.0+build.7', 'Build metadata ("+") has no order in semver; leave it out.'],
    ['1.4.x', 'A target is "latest", "next" or a version such as 1.4.0.'],
    ['^1.4.0', 'A target is "latest", "next" or a version such as 1.4.0.'],
    ['newest', 'A target is "latest", "next" or a version such as 1.4.0.'],
    ['', 'A target is "latest", "next" or a version such as 1.4.0.'],
  ])('is not read from "%s"', async (text, hint) => {
    expect(await refusalOf(InvalidTargetError, () => parseTarget(text))).toMatchObject({
      message: `"${text}" is not a target.`,
      hint,
      target: text,
    });
  });
});

describe('a target on the command line', () => {
  it.each(['latest', 'next', '1.4.0', 'v1.4.0'])('may be %s', async (text) => {
    await expect(checkTargetArgument(text)).resolves.toBeUndefined();
  });

  it.each([
    ['lates', 'Did you mean latest?'],
    ['LATEST', 'Did you mean latest?'],
    ['nxt', 'Did you mean next?'],
    ['1.4', 'A version has three numbers: did you mean "1.4.0"?'],
    ['tomorrow', 'A target is "latest", "next" or a version such as 1.4.0.'],
  ])('that is "%s" gets the hint: %s', async (text, hint) => {
    const refusal = await refusalOf(InvalidTargetError, () => checkTargetArgument(text));

    expect(refusal).toMatchObject({
      message: `"${text}" is not a target.`,
      hint,
    });
  });
});

test('a database URL in the place of a target is told without its password', async () => {
  const refusal = await refusalOf(InvalidTargetError, () =>
    checkTargetArgument('postgres://app:s3cret@db/app'),
  );

  expect(refusal.message).toBe('"postgres://app:***@db/app" is not a target.');
});

describe('what belongs to a target', () => {
  it.each([
    ['latest', ['1.0.0-beta.1', '1.0.0', '99.0.0' /* next */]],
    ['next', ['1.0.0-beta.1', '1.0.0', '99.0.0', 'next']],
    ['1.0.0', ['1.0.0-beta.1', '1.0.0' /* 99.0.0, next */]],
    ['1.0.0-rc.1', ['1.0.0-beta.1' /* 1.0.0, 99.0.0, next */]],
    ['5.0.0', ['1.0.0-beta.1', '1.0.0' /* 99.0.0, next */]],
    ['100.0.0', ['1.0.0-beta.1', '1.0.0', '99.0.0' /* next */]],
    [
      '0.0.0',
      [
        /* all */
      ],
    ],
  ])('%s', (target, included) => {
    const versions = ['1.0.0-beta.1', '1.0.0', '99.0.0', 'next'];

    expect(versions.filter((version) => targetIncludes(parseTarget(target), version))).toEqual(included);
  });
});
