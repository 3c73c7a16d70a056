import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Alteration } from '../../src/core/alteration.ts';
import type { HistoryRow } from '../../src/core/history.ts';
import { planDeploy, planRollback } from '../../src/core/plan.ts';
import { describeHistory } from '../../src/core/state.ts';
import { parseTarget } from '../../src/core/target.ts';
import { alterationsOf, rowOf } from './histories.ts';

// Places are written <version>-<timestamp>, as file names begin: the version with `_` for the hyphens of a prerelease.

/** A folder, and which of its places had been applied before: any, so that every kind of hole occurs. */
interface World {
  readonly places: readonly string[];
  readonly applied: readonly string[];
}

const numbers = fc.constantFrom(0, 1, 2, 10);
const prereleases = fc.constantFrom(
  '',
  '_alpha',
  '_alpha.1',
  '_alpha.beta',
  '_beta.2',
  '_beta.10',
  '_beta_x',
  '_rc.1',
  '_1',
);
const released = fc
  .tuple(numbers, numbers, numbers, prereleases)
  .map(([major, minor, patch, prerelease]) => `${major}.${minor}.${patch}${prerelease}`);
const versions = fc.oneof({ weight: 5, arbitrary: released }, { weight: 1, arbitrary: fc.constant('next') });
const timestamps = fc
  .tuple(fc.constantFrom(3, 9, 10, 1_674_032_095), fc.constantFrom(0, 1, 2, 9, 10))
  .map(([seconds, suffix]) => (suffix === 0 ? String(seconds) : `${seconds}.${suffix}`));
const targets = fc.oneof(
  { weight: 4, arbitrary: released.map((version) => version.replaceAll('_', '-')) },
  { weight: 1, arbitrary: fc.constantFrom('latest', 'next') },
);
const worlds: fc.Arbitrary<World> = fc
  .uniqueArray(timestamps, { maxLength: 12 })
  .chain((ids) => fc.tuple(...ids.map((id) => versions.map((version) => `${version}-${id}`))))
  .chain((places) => fc.record({ places: fc.constant(places), applied: fc.subarray(places) }));

describe('for any folder, any history and any targets', () => {
  it('deploying to one target after another ends where deploying to the greatest of them does', () => {
    fc.assert(
      fc.property(worlds, fc.array(targets, { minLength: 1, maxLength: 5 }), (world, sequence) => {
        const files = alterationsOf(...world.places);
        const greatest = sequence.reduce((left, right) => (rankOf(left) < rankOf(right) ? right : left));

        const stepwise = sequence.reduce((rows, target) => deploy(files, rows, target), historyOf(world));
        const atOnce = deploy(files, historyOf(world), greatest);

        expect(idsOf(stepwise)).toEqual(idsOf(atOnce));
      }),
    );
  });

  it('what is applied afterwards is what was applied before and all within a target, each once', () => {
    fc.assert(
      fc.property(worlds, fc.array(targets, { maxLength: 5 }), ({ places, applied }, sequence) => {
        const files = alterationsOf(...places);

        const rows = sequence.reduce(
          (history, target) => deploy(files, history, target),
          historyOf({ applied }),
        );

        const expected = places.filter(
          (place) => applied.includes(place) || sequence.some((target) => isWithin(place, target)),
        );
        expect(idsOf(rows)).toEqual(expected.map(idOf).sort());
      }),
    );
  });

  it('a plan has every file within the target that has no row, whatever newer is applied, in order', () => {
    fc.assert(
      fc.property(worlds, targets, ({ places, applied }, target) => {
        const { steps } = planDeploy(alterationsOf(...places), historyOf({ applied }), parseTarget(target));

        const expected = places.filter((place) => isWithin(place, target) && !applied.includes(place));
        expect(steps.map(({ alteration: { id } }) => id)).toEqual(inOrder(expected).map(idOf));
      }),
    );
  });

  it('a step is late exactly when something applied comes after it', () => {
    fc.assert(
      fc.property(worlds, targets, ({ places, applied }, target) => {
        const newest = inOrder(applied).at(-1);

        const { steps } = planDeploy(alterationsOf(...places), historyOf({ applied }), parseTarget(target));

        const expected = inOrder(places)
          .filter((place) => isWithin(place, target) && !applied.includes(place))
          .map((place) => newest !== undefined && sortKey(place) < sortKey(newest));
        expect(steps.map(({ late }) => late)).toEqual(expected);
      }),
    );
  });

  it('a plan does not depend on the order in which files and rows are given', () => {
    const shuffled = worlds.chain(({ places, applied }) =>
      fc.record({
        places: fc.shuffledSubarray([...places], { minLength: places.length }),
        applied: fc.shuffledSubarray([...applied], { minLength: applied.length }),
        world: fc.constant({ places, applied }),
      }),
    );
    fc.assert(
      fc.property(shuffled, targets, ({ world, places, applied }, target) => {
        const order = new Map(places.map((place, index) => [idOf(place), index]));
        const files = alterationsOf(...places).toSorted(
          (left, right) => (order.get(left.id) ?? 0) - (order.get(right.id) ?? 0),
        );

        const plan = planDeploy(files, historyOf({ applied }), parseTarget(target));
        const rollback = planRollback(files, historyOf({ applied }), parseTarget(target));

        const sorted = alterationsOf(...world.places);
        expect(plan).toEqual(planDeploy(sorted, historyOf(world), parseTarget(target)));
        expect(rollback).toEqual(planRollback(sorted, historyOf(world), parseTarget(target)));
      }),
    );
  });

  it('a rollback after a deploy leaves exactly what is applied up to its target', () => {
    fc.assert(
      fc.property(worlds, targets, targets, ({ places, applied }, target, back) => {
        const files = alterationsOf(...places);
        const deployed = deploy(files, historyOf({ applied }), target);

        const { steps, missing, unfinished } = planRollback(files, deployed, parseTarget(back));
        const left = deployed.filter(({ id }) => !steps.some(({ alteration }) => alteration.id === id));

        const expected = places.filter(
          (place) => isWithin(place, back) && (applied.includes(place) || isWithin(place, target)),
        );
        expect(idsOf(left)).toEqual(expected.map(idOf).sort());
        expect([missing, unfinished]).toEqual([[], []]);
      }),
    );
  });

  it('a rollback goes through its steps in the opposite order', () => {
    fc.assert(
      fc.property(worlds, targets, ({ places, applied }, back) => {
        const { steps } = planRollback(alterationsOf(...places), historyOf({ applied }), parseTarget(back));

        const expected = inOrder(applied.filter((place) => !isWithin(place, back))).toReversed();
        expect(steps.map(({ alteration: { id } }) => id)).toEqual(expected.map(idOf));
      }),
    );
  });

  it('deploying again after a rollback brings back what the rollback took', () => {
    fc.assert(
      fc.property(worlds, targets, targets, (world, target, back) => {
        const files = alterationsOf(...world.places);
        const deployed = deploy(files, historyOf(world), target);
        const { steps } = planRollback(files, deployed, parseTarget(back));
        const left = deployed.filter(({ id }) => !steps.some(({ alteration }) => alteration.id === id));

        const redone = deploy(files, deploy(files, left, target), 'next');

        expect(idsOf(redone)).toEqual(idsOf(deploy(files, deployed, 'next')));
      }),
    );
  });

  it('releasing next alterations changes nothing of what is pending, and no row loses its file', () => {
    fc.assert(
      fc.property(worlds, released, ({ places, applied }, version) => {
        const renamed = places.map((place) => place.replace(/^next-/, `${version}-`));
        const history = historyOf({ applied });

        const before = planDeploy(alterationsOf(...places), history, parseTarget('next'));
        const after = planDeploy(alterationsOf(...renamed), history, parseTarget('next'));

        expect(idsOf(after.steps.map(({ alteration }) => alteration))).toEqual(
          idsOf(before.steps.map(({ alteration }) => alteration)),
        );
        expect(after.missing).toEqual([]);
        expect(idsOf(after.renamings.map(({ alteration }) => alteration))).toEqual(
          applied
            .filter((place) => place.startsWith('next-'))
            .map(idOf)
            .sort(),
        );
      }),
    );
  });

  it('rows without a file are told as missing, and change nothing of what is pending', () => {
    fc.assert(
      fc.property(worlds, fc.func(fc.boolean()), targets, ({ places, applied }, keeps, target) => {
        const kept = places.filter((place) => keeps(place));
        const gone = applied.filter((place) => !keeps(place));

        const plan = planDeploy(alterationsOf(...kept), historyOf({ applied }), parseTarget(target));

        const expected = kept.filter((place) => isWithin(place, target) && !applied.includes(place));
        expect(plan.steps.map(({ alteration: { id } }) => id)).toEqual(inOrder(expected).map(idOf));
        expect(plan.missing.map(({ id }) => id)).toEqual(inOrder(gone).map(idOf));
      }),
    );
  });

  it('the states tell each alteration once, in order, and agree with the plan', () => {
    fc.assert(
      fc.property(worlds, fc.func(fc.boolean()), ({ places, applied }, keeps) => {
        const kept = places.filter((place) => keeps(place) || !applied.includes(place));
        const files = alterationsOf(...kept);
        const history = historyOf({ applied });

        const entries = describeHistory(files, history, new Set());

        const { steps, missing } = planDeploy(files, history, parseTarget('next'));
        const idsIn = (...states: readonly string[]) =>
          entries.filter(({ state }) => states.includes(state)).map(({ id }) => id);
        expect(entries.map(({ id }) => id)).toEqual(inOrder(places).map(idOf));
        expect(idsIn('pending', 'late')).toEqual(steps.map(({ alteration: { id } }) => id));
        expect(idsIn('late')).toEqual(steps.filter(({ late }) => late).map(({ alteration: { id } }) => id));
        expect(idsIn('missing')).toEqual(missing.map(({ id }) => id));
      }),
    );
  });
});

function historyOf({ applied }: Pick<World, 'applied'>): readonly HistoryRow[] {
  return applied.map((place) => rowOf(place));
}

/** The rows after a deploy that succeeds; a step that has a row already shows itself as an id that stands there twice. */
function deploy(files: readonly Alteration[], rows: readonly HistoryRow[], target: string) {
  const { steps } = planDeploy(files, rows, parseTarget(target));
  return [
    ...rows,
    ...steps.map(({ alteration: { version, id } }) => rowOf(`${version.replaceAll('-', '_')}-${id}`)),
  ];
}

function versionOf(place: string): string {
  return place.slice(0, place.indexOf('-'));
}

function idOf(place: string): string {
  return place.slice(place.indexOf('-') + 1);
}

function idsOf(identified: readonly { readonly id: string }[]): readonly string[] {
  return identified.map(({ id }) => id).sort();
}

// The oracle: a version becomes a text whose plain order is semver's, so that no comparison of the code under test is used.

function rankOf(version: string): string {
  if (version === 'next') return '~~';
  if (version === 'latest') return '~';
  const [, numbers = '', prerelease = ''] = /^([\d.]+)[-_]?(.*)$/.exec(version) ?? [];
  const padded = numbers.split('.').map((number) => number.padStart(4, '0'));
  // A number comes before any word, an identifier ends before any character of a longer one, and no prerelease comes last.
  const identifiers = prerelease.replaceAll('_', '-').split('.');
  const ranks = identifiers.map((word) => (/^\d+$/.test(word) ? `0${word.padStart(4, '0')}!` : `1${word}!`));
  return `${padded.join('.')} ${prerelease === '' ? '~' : ranks.join('')}`;
}

function isWithin(place: string, target: string): boolean {
  return rankOf(versionOf(place)) <= rankOf(target);
}

function sortKey(place: string): string {
  const [seconds = '', suffix = ''] = idOf(place).split('.');
  return `${rankOf(versionOf(place))} ${seconds.padStart(10, '0')}.${suffix.padStart(9, '0')}`;
}

function inOrder(places: readonly string[]): readonly string[] {
  return places.toSorted((left, right) => (sortKey(left) < sortKey(right) ? -1 : 1));
}
