import { describe, expect, it } from 'vitest';
import {
  type Change,
  type Commit,
  createLookup,
  createTimeline,
  findIntroductions,
  findReleasesByName,
  listVersionedStates,
} from '../../src/core/folder-timeline.ts';

const blobOf = (id: string) => ({ mode: '100644', id });
const add = (path: string, id = 'a'): Change => ({ path, after: blobOf(id) });
const edit = (path: string, from: string, to: string): Change => ({
  path,
  before: blobOf(from),
  after: blobOf(to),
});
const remove = (path: string, id = 'a'): Change => ({ path, before: blobOf(id) });
const rename = (from: string, to: string): readonly Change[] => [remove(from), add(to)];

/** The timeline of these commits, which begins with these files. */
function timelineOf(start: readonly string[], ...commits: readonly (readonly Change[])[]) {
  const end = new Map(start.map((path) => [path, blobOf('a')]));
  for (const { path, after } of commits.flat()) {
    if (after) end.set(path, after);
    else end.delete(path);
  }
  return createTimeline(
    end,
    commits.map((changes, index): Commit => ({ id: `commit-${index + 1}`, changes })),
  );
}

describe('a timeline', () => {
  it('begins with the files that its end has when every commit is undone', () => {
    const { start } = timelineOf(
      ['next-1-a.ts', 'utils/x.ts'],
      [edit('utils/x.ts', 'a', 'b'), remove('next-1-a.ts')],
      [add('next-2-b.ts')],
    );

    expect([...start]).toEqual([
      ['utils/x.ts', blobOf('a')],
      ['next-1-a.ts', blobOf('a')],
    ]);
  });

  it('tells the content of a file at each moment', () => {
    const lookUp = createLookup(
      timelineOf(['kept.ts'], [add('x.ts', 'a')], [edit('x.ts', 'a', 'b')], [remove('x.ts', 'b')]),
    );

    expect([0, 1, 2, 3].map((moment) => lookUp('x.ts', moment)?.id)).toEqual([
      undefined,
      'a',
      'b',
      undefined,
    ]);
    expect(lookUp('kept.ts', 3)?.id).toBe('a');
  });
});

describe('an alteration is there', () => {
  it.each<[string, ReturnType<typeof timelineOf>, readonly (readonly [string, number])[]]>([
    [
      'from the start, or since the commit that adds it',
      timelineOf(['next-1-a.ts'], [add('next-2-b.ts')], [add('next-3-c.sql')]),
      [['1', 0], ['2', 1], ['3', 2]], // biome-ignore format: a table
    ],
    [
      'since then also after a release has renamed it',
      timelineOf([], [add('next-1-a.ts')], rename('next-1-a.ts', '1.0.0-1-a.ts')),
      [['1', 1]],
    ],
    [
      'since then also after it was compiled, or edited',
      timelineOf([], [add('next-1-a.ts')], rename('next-1-a.ts', 'next-1-a.js'), [
        edit('next-1-a.js', 'a', 'b'),
      ]),
      [['1', 1]],
    ],
    [
      'since then also after it got a way back',
      timelineOf([], [add('next-1-a.up.sql')], [add('next-1-a.down.sql')]),
      [['1', 1]],
    ],
    [
      'since it was restored, where it had been removed',
      timelineOf([], [add('next-1-a.ts')], [remove('next-1-a.ts')], [add('next-1-a.ts')]),
      [['1', 3]],
    ],
    ['no longer, where it was removed', timelineOf([], [add('next-1-a.ts')], [remove('next-1-a.ts')]), []],
    ['only as a file of the folder itself', timelineOf([], [add('old/next-1-a.ts'), add('README.md')]), []],
  ])('%s', (_, timeline, expected) => {
    expect([...findIntroductions(timeline)]).toEqual(expected);
  });
});

describe('without tags an alteration is released', () => {
  const releasesOf = (timeline: ReturnType<typeof timelineOf>) =>
    findReleasesByName(timeline).map(({ alteration: { file }, moment }) => [file, moment]);

  it.each<[string, ReturnType<typeof timelineOf>, readonly (readonly [string, number])[]]>([
    [
      'by the commit that adds it under its version',
      timelineOf([], [add('1.0.0-1-a.ts')]),
      [['1.0.0-1-a.ts', 1]],
    ],
    [
      'by the commit that gives it its version',
      timelineOf(
        [],
        [add('next-1-a.ts')],
        [edit('next-1-a.ts', 'a', 'b')],
        rename('next-1-a.ts', '1.0.0-1-a.ts'),
      ),
      [['1.0.0-1-a.ts', 3]],
    ],
    [
      'by the first commit under that version, whatever its words and its extension become',
      timelineOf([], [add('1.0.0-1-a.ts')], rename('1.0.0-1-a.ts', '1.0.0-1-b.js')),
      [['1.0.0-1-a.ts', 1]],
    ],
    [
      'anew by a commit that gives it another version',
      timelineOf([], [add('1.0.0-1-a.ts')], rename('1.0.0-1-a.ts', '1.1.0-1-a.ts')),
      [['1.1.0-1-a.ts', 2]],
    ],
    ['not while it is next', timelineOf([], [add('next-1-a.ts')]), []],
    [
      'no longer, where its release was taken back',
      timelineOf([], [add('1.0.0-1-a.ts')], rename('1.0.0-1-a.ts', 'next-1-a.ts')),
      [],
    ],
    [
      'also where its file was removed since',
      timelineOf([], [add('1.0.0-1-a.ts')], [remove('1.0.0-1-a.ts')]),
      [['1.0.0-1-a.ts', 1]],
    ],
    [
      'as it was at first, where it was removed and restored',
      timelineOf([], [add('1.0.0-1-a.ts')], [remove('1.0.0-1-a.ts')], [add('1.0.0-1-a.ts', 'b')]),
      [['1.0.0-1-a.ts', 1]],
    ],
  ])('%s', (_, timeline, expected) => {
    expect(releasesOf(timeline)).toEqual(expected);
  });

  it('with both files of its pair', () => {
    const [release] = findReleasesByName(
      timelineOf([], [add('1.0.0-1-a.up.sql'), add('1.0.0-1-a.down.sql')]),
    );

    expect(release?.alteration).toMatchObject({ file: '1.0.0-1-a.up.sql', downFile: '1.0.0-1-a.down.sql' });
  });
});

describe('the states under a version', () => {
  it('are those after each commit that touched the alteration, while its name has a version', () => {
    const timeline = timelineOf(
      ['next-1-a.ts'],
      rename('next-1-a.ts', '1.0.0-1-a.ts'),
      [edit('1.0.0-1-a.ts', 'a', 'b')],
      rename('1.0.0-1-a.ts', 'next-1-a.ts'),
    );

    const states = listVersionedStates(timeline).map(({ alteration, moment }) => [alteration.file, moment]);

    expect(states).toEqual([
      ['1.0.0-1-a.ts', 1],
      ['1.0.0-1-a.ts', 2],
    ]);
  });
});
