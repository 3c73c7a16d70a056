import { describe, expect, it } from 'vitest';
import {
  findPreviousRelease,
  listCandidates,
  parseVersionTag,
  type Tag,
} from '../../src/core/release-tag.ts';

const parse = (tags: readonly Tag[]) => tags.flatMap((tag) => parseVersionTag(tag) ?? []);

/** Tags of commits of their own, committed in this order. */
const tagsOf = (names: readonly string[]) =>
  parse(
    names.map((name, index) => ({
      name,
      commit: `commit-of-${name}`,
      tree: 'tree',
      committedAt: 1_700_000_000 + index,
    })),
  );

describe('the previous release', () => {
  it.each<[string, readonly string[], string | undefined]>([
    ['is the newest version', ['v1.3.0', 'v1.4.0'], 'v1.4.0'],
    ['is newer by semver, not by spelling', ['v1.9.0', 'v1.10.0'], 'v1.10.0'],
    ['is the newest version even where an older one was tagged later', ['v1.5.0', 'v1.4.1'], 'v1.5.0'],
    ['may be a prerelease', ['v1.4.0', 'v1.5.0-beta.2'], 'v1.5.0-beta.2'],
    ['comes after its own prereleases', ['v1.5.0', 'v1.5.0-rc.1'], 'v1.5.0'],
    ['may be written without a v', ['1.3.0', '1.4.0'], '1.4.0'],
    ['may have a v or not', ['v1.4.0', '1.5.0'], '1.5.0'],
    ['may be named after a package', ['app@1.3.0', 'app@1.4.0'], 'app@1.4.0'],
    [
      'may be named after a package with a scope',
      ['@acme/app@1.3.0', '@acme/app@v1.4.0'],
      '@acme/app@v1.4.0',
    ],
    ['is that of the product released last, where several are tagged', ['kit@4.0.0', 'v1.4.0'], 'v1.4.0'],
    ['is the newest of the product released last', ['kit@4.0.0', 'v1.5.0', 'v1.4.1'], 'v1.5.0'],
    [
      'is no tag of another kind',
      ['v1.4.0', 'nightly', 'v2', '1.5', 'release-1.6.0', 'v1.7.0+build'],
      'v1.4.0',
    ],
    ['is none where no version is tagged', ['nightly'], undefined],
    ['is none where nothing is tagged', [], undefined],
  ])('%s', (_, names, expected) => {
    expect(findPreviousRelease(tagsOf(names), 'head')?.name).toBe(expected);
  });

  it('is not the release that stands at the commit itself', () => {
    const tags = tagsOf(['v1.4.0', 'v1.5.0']);

    expect(findPreviousRelease(tags, 'commit-of-v1.5.0')?.name).toBe('v1.4.0');
  });

  it('is the version alone where one commit has tags of several products', () => {
    const tags = ['zoo@3.0.0', 'v1.4.0', 'app@2.0.0'].map((name) => ({
      name,
      commit: 'one',
      tree: 'tree',
      committedAt: 1,
    }));

    expect(findPreviousRelease(parse(tags), 'head')?.name).toBe('v1.4.0');
  });

  it('is among the newest of each product and what was committed last', () => {
    const tags = tagsOf(['2023.1.1', 'v1.0.0', 'kit@4.0.0', 'kit@4.1.0', 'v1.1.0']);

    expect(listCandidates(tags).map(({ name }) => name)).toEqual(['2023.1.1', 'kit@4.1.0', 'v1.1.0']);
  });
});
