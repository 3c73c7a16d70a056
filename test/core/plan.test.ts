import { describe, expect, it } from 'vitest';
import type { HistoryRow } from '../../src/core/history.ts';
import { currentVersion, planDeploy, planRollback, type Step } from '../../src/core/plan.ts';
import { describeHistory } from '../../src/core/state.ts';
import { parseTarget } from '../../src/core/target.ts';
import { alterationsOf, rowsOf } from './histories.ts';

// Places are written <version>-<timestamp>, steps by their timestamps; `*` marks a row that was only begun.
// A comment stands where a place has been left out.

describe('the plan of a deploy', () => {
  it.each<{ what: string; files: string[]; rows: string[]; target: string; steps: string[] }>([
    {
      what: 'has everything for an empty history',
      files: ['1.0.0-1', '1.0.0-2', '1.1.0-3'],
      rows: [],
      target: 'latest',
      steps: ['1', '2', '3'],
    },
    {
      what: 'is empty when every file has a row',
      files: ['1.0.0-1', '1.1.0-2'],
      rows: ['1.0.0-1', '1.1.0-2'],
      target: 'latest',
      steps: [],
    },
    {
      what: 'is empty without files',
      files: [],
      rows: ['1.0.0-1'],
      target: 'next',
      steps: [],
    },
    {
      what: 'has what comes after the newest row',
      files: ['1.0.0-1', '1.1.0-2', '1.2.0-3'],
      rows: ['1.0.0-1'],
      target: 'latest',
      steps: [/* 1 */ '2', '3'],
    },
    {
      what: 'has a minor whose timestamps are older than those of a hotfix line that was deployed before it',
      files: ['1.5.0-100', '1.6.0-150', '1.5.1-200'],
      rows: ['1.5.0-100', '1.5.1-200' /* 1.6.0-150 */],
      target: 'latest',
      steps: ['150'],
    },
    {
      what: 'has a hotfix that was released after the next minor was deployed, as late',
      files: ['1.5.0-100', '1.5.1-200', '1.6.0-150'],
      rows: ['1.5.0-100', /* 1.5.1-200 */ '1.6.0-150'],
      target: 'latest',
      steps: ['200 late'],
    },
    {
      what: 'has every hole, oldest first',
      files: ['1.0.0-1', '1.0.0-2', '1.1.0-3', '1.1.0-4', '1.2.0-5'],
      rows: [/* 1 */ '1.0.0-2', /* 3 */ '1.1.0-4' /* 5 */],
      target: 'latest',
      steps: ['1 late', '3 late', '5'],
    },
    {
      what: 'finds one late within its own version',
      files: ['1.0.0-1', '1.0.0-2', '1.0.0-2.1', '1.0.0-3'],
      rows: ['1.0.0-1', /* 2 */ '1.0.0-2.1' /* 3 */],
      target: 'latest',
      steps: ['2 late', '3'],
    },
    {
      what: 'finds one late that is ordered before a row without a file',
      files: ['1.0.0-1', '1.1.0-2' /* 1.2.0-3 */],
      rows: ['1.0.0-1', /* 1.1.0-2 */ '1.2.0-3'],
      target: 'latest',
      steps: ['2 late'],
    },
    {
      what: 'orders suffixes as numbers',
      files: ['1.0.0-7.10', '1.0.0-7.9', '1.0.0-7'],
      rows: [],
      target: 'latest',
      steps: ['7', '7.9', '7.10'],
    },
    {
      what: 'leaves next out for latest, and takes prereleases in',
      files: ['1.0.0_beta.2-2', '1.0.0_beta.10-1', '1.0.0-3', 'next-4'],
      rows: [],
      target: 'latest',
      steps: ['2', '1', '3' /* 4 */],
    },
    {
      what: 'puts next last for next',
      files: ['next-1', '1.0.0-2', '2.0.0-3'],
      rows: [],
      target: 'next',
      steps: ['2', '3', '1'],
    },
    {
      what: 'has everything up to a version, itself included',
      files: ['1.0.0-1', '1.1.0-2', '1.2.0-3', 'next-4'],
      rows: [],
      target: '1.1.0',
      steps: ['1', '2' /* 3, 4 */],
    },
    {
      what: 'has everything up to a version that no file has',
      files: ['1.0.0-1', '1.1.0-2', '1.2.0-3'],
      rows: [],
      target: '1.1.7',
      steps: ['1', '2' /* 3 */],
    },
    {
      what: 'stops at a prerelease before its release',
      files: ['1.0.0-1', '1.1.0_alpha.1-2', '1.1.0_rc.1-3', '1.1.0-4'],
      rows: [],
      target: '1.1.0-beta.1',
      steps: ['1', '2' /* 3, 4 */],
    },
    {
      what: 'has every release for a version newer than all, and not next',
      files: ['1.0.0-1', '1.1.0-2', 'next-3'],
      rows: ['1.0.0-1'],
      target: '99.0.0',
      steps: [/* 1 */ '2' /* 3 */],
    },
    {
      what: 'is empty for a version older than all',
      files: ['1.0.0_beta.1-1', '1.0.0-2'],
      rows: [],
      target: '0.9.0',
      steps: [],
    },
    {
      what: 'never goes back: a target older than the history is nothing to do',
      files: ['1.0.0-1', '1.1.0-2', '1.2.0-3'],
      rows: ['1.0.0-1', '1.1.0-2' /* 1.2.0-3 */],
      target: '1.0.0',
      steps: [],
    },
    {
      what: 'fills a hole below an older target',
      files: ['1.0.0-1', '1.0.0-2', '1.1.0-3', '1.2.0-4'],
      rows: ['1.0.0-1', /* 2 */ '1.1.0-3' /* 4 */],
      target: '1.0.0',
      steps: ['2 late' /* 4 */],
    },
    {
      what: 'knows an alteration by its timestamp, whatever version its row has',
      files: ['1.0.0-1', '1.5.0-2', '1.5.0-3'],
      rows: ['1.0.0-1', 'next-2' /* 3 */],
      target: 'latest',
      steps: ['3'],
    },
    {
      what: 'goes on with one that was only begun',
      files: ['1.0.0-1', '1.0.0-2', '1.1.0-3'],
      rows: ['1.0.0-1', '*1.0.0-2' /* 3 */],
      target: 'latest',
      steps: ['2 started', '3'],
    },
    {
      what: 'does not count one that was only begun as the newest',
      files: ['1.0.0-1', '1.1.0-2'],
      rows: [/* 1 */ '*1.1.0-2'],
      target: 'latest',
      steps: ['1', '2 started'],
    },
    {
      what: 'goes on with one that is late by now',
      files: ['1.0.0-1', '1.1.0-2'],
      rows: ['*1.0.0-1', '1.1.0-2'],
      target: 'latest',
      steps: ['1 late started'],
    },
    {
      what: 'leaves one that was begun beyond the target',
      files: ['1.0.0-1', '1.1.0-2'],
      rows: [/* 1 */ '*1.1.0-2'],
      target: '1.0.0',
      steps: ['1' /* 2 */],
    },
  ])('$what', ({ files, rows, target, steps }) => {
    const plan = planDeploy(alterationsOf(...files), rowsOf(...rows), parseTarget(target));

    expect(plan.steps.map(renderStep)).toEqual(steps);
  });

  it('tells what was applied and has no file any more, in order', () => {
    const rows = rowsOf('next-5', '1.2.0-4', '1.0.0-1', '*1.1.0-3', '1.1.0-2');

    const { steps, missing } = planDeploy(alterationsOf('1.0.0-1', '1.2.0-4'), rows, parseTarget('latest'));

    expect(steps).toEqual([]);
    expect(placesOf(missing)).toEqual([/* 1 */ '1.1.0-2', '1.1.0-3', /* 4 */ 'next-5']);
  });

  it('tells the rows whose file was renamed, also beyond the target and of one only begun', () => {
    const files = alterationsOf('1.0.0-1', '1.5.0-2', '1.5.0-3', 'next-4');
    const rows = rowsOf('1.0.0-1', 'next-2', '*next-3', 'next-4');

    const { renamings } = planDeploy(files, rows, parseTarget('1.0.0'));

    expect(renamings.map(({ alteration, from }) => [from.version, alteration.file])).toEqual([
      ['next', '1.5.0-2-change.sql'],
      ['next', '1.5.0-3-change.sql'],
    ]);
  });

  it('tells a row whose file got another name', () => {
    const [row] = rowsOf('1.0.0-1');
    const rows = row ? [{ ...row, name: 'old-name' }] : [];

    const { renamings, steps } = planDeploy(alterationsOf('1.0.0-1'), rows, parseTarget('latest'));

    expect(renamings).toMatchObject([{ from: { version: '1.0.0', name: 'old-name' } }]);
    expect(steps).toEqual([]);
  });

  it('leaves the lists that it is given as they are', () => {
    const files = Object.freeze([...alterationsOf('1.0.0-1', '1.1.0-2')].reverse());
    const rows = Object.freeze([...rowsOf('1.2.0-4', '1.1.0-2', '1.0.5-3')]);

    expect(planDeploy(files, rows, parseTarget('latest')).steps.map(renderStep)).toEqual(['1 late']);
    expect(planRollback(files, rows, parseTarget('0.0.0')).steps).toHaveLength(1);
    expect(describeHistory(files, rows, new Set())).toHaveLength(4);
  });
});

describe('the plan of a rollback', () => {
  it.each<{ what: string; files: string[]; rows: string[]; target: string; steps: string[] }>([
    {
      what: 'takes back what is newer than a version, newest first',
      files: ['1.0.0-1', '1.1.0-2', '1.1.0-3', '1.2.0-4'],
      rows: ['1.0.0-1', '1.1.0-2', '1.1.0-3', '1.2.0-4'],
      target: '1.0.0',
      steps: ['4', '3', '2' /* 1 */],
    },
    {
      what: 'goes by the order of alterations, not by when they were applied',
      files: ['1.0.0-1', '1.5.1-200', '1.6.0-150'],
      rows: ['1.0.0-1', '1.6.0-150', '1.5.1-200'],
      target: '1.0.0',
      steps: ['150', '200' /* 1 */],
    },
    {
      what: 'leaves what is pending alone',
      files: ['1.0.0-1', '1.1.0-2', '1.1.0-3', '1.2.0-4'],
      rows: ['1.0.0-1', /* 2 */ '1.1.0-3' /* 4 */],
      target: '1.0.0',
      steps: ['3' /* 1 */],
    },
    {
      what: 'is empty when nothing newer is applied',
      files: ['1.0.0-1', '1.1.0-2'],
      rows: ['1.0.0-1' /* 2 */],
      target: '1.0.0',
      steps: [],
    },
    {
      what: 'never goes forward: a target newer than the history is nothing to do',
      files: ['1.0.0-1', '1.1.0-2'],
      rows: ['1.0.0-1' /* 2 */],
      target: '9.0.0',
      steps: [],
    },
    {
      what: 'goes back to a version that no file has',
      files: ['1.0.0-1', '1.1.0-2', '1.2.0-3'],
      rows: ['1.0.0-1', '1.1.0-2', '1.2.0-3'],
      target: '1.1.5',
      steps: ['3' /* 2, 1 */],
    },
    {
      what: 'goes back to a prerelease, and takes its release away',
      files: ['1.0.0_beta.1-1', '1.0.0_beta.2-2', '1.0.0-3'],
      rows: ['1.0.0_beta.1-1', '1.0.0_beta.2-2', '1.0.0-3'],
      target: '1.0.0-beta.1',
      steps: ['3', '2' /* 1 */],
    },
    {
      what: 'takes back what is not released for latest',
      files: ['1.0.0-1', '2.0.0_beta.1-2', 'next-3', 'next-4'],
      rows: ['1.0.0-1', '2.0.0_beta.1-2', 'next-3', 'next-4'],
      target: 'latest',
      steps: ['4', '3' /* 2, 1 */],
    },
    {
      what: 'takes nothing back for next',
      files: ['1.0.0-1', 'next-2'],
      rows: ['1.0.0-1', 'next-2'],
      target: 'next',
      steps: [],
    },
    {
      what: 'takes everything back for 0.0.0',
      files: ['0.0.1-1', '1.0.0_alpha-2', '1.0.0-3', 'next-4'],
      rows: ['0.0.1-1', '1.0.0_alpha-2', '1.0.0-3', 'next-4'],
      target: '0.0.0',
      steps: ['4', '3', '2', '1'],
    },
    {
      what: 'goes by the version of the file when it was released since',
      files: ['1.0.0-1', '1.5.0-2', 'next-3'],
      rows: ['1.0.0-1', 'next-2', 'next-3'],
      target: '1.5.0',
      steps: ['3' /* 2, 1 */],
    },
  ])('$what', ({ files, rows, target, steps }) => {
    const plan = planRollback(alterationsOf(...files), rowsOf(...rows), parseTarget(target));

    expect(plan.steps.map(({ alteration }) => alteration.id)).toEqual(steps);
    expect(plan.steps.every(({ alteration, row }) => alteration.id === row.id)).toBe(true);
    expect(plan).toMatchObject({ missing: [], unfinished: [] });
  });

  it('tells the rows in its way that have no file or are half done, and none of the others', () => {
    const files = alterationsOf('1.0.0-2', '1.1.0-4', '1.2.0-6', '1.2.0-7');
    const rows = rowsOf('1.0.0-1', '*1.0.0-2', '1.1.0-3', '1.1.0-4', '*1.1.0-5', '*1.2.0-6', '1.2.0-7');

    const { steps, missing, unfinished } = planRollback(files, rows, parseTarget('1.0.0'));

    expect(steps.map(({ alteration: { id } }) => id)).toEqual(['7', /* 6, 5 */ '4' /* 3, 2, 1 */]);
    expect(placesOf(missing)).toEqual(['1.1.0-3', '1.1.0-5']);
    expect(placesOf(unfinished)).toEqual(['1.2.0-6']);
  });
});

describe('the states of a history', () => {
  it('are told for every file and every row, in order', () => {
    const files = alterationsOf('1.0.0-1', '1.0.0-2', '1.1.0-4', '1.2.0-5', '1.2.0-6', 'next-7');
    const rows = rowsOf('1.0.0-1', '1.1.0-3', '1.1.0-4', '1.2.0-5');

    const entries = describeHistory(files, rows, new Set(['4']));

    expect(entries.map(({ id, state }) => `${id} ${state}`)).toEqual([
      '1 applied',
      '2 late',
      '3 missing',
      '4 edited',
      '5 applied',
      '6 pending',
      '7 pending',
    ]);
  });

  it('of one that was begun is pending or late, with its row', () => {
    const files = alterationsOf('1.0.0-1', '1.1.0-2', '1.2.0-3');

    const entries = describeHistory(files, rowsOf('*1.0.0-1', '1.1.0-2', '*1.2.0-3'), new Set(['1', '3']));

    expect(entries.map(({ id, state, row }) => [id, state, row?.state])).toEqual([
      ['1', 'late', 'started'],
      ['2', 'applied', 'applied'],
      ['3', 'pending', 'started'],
    ]);
  });

  it('of a released alteration stands where its file does', () => {
    const entries = describeHistory(alterationsOf('1.5.0-9', '1.6.0-1'), rowsOf('next-9'), new Set());

    expect(entries.map(({ version, id, state }) => `${version} ${id} ${state}`)).toEqual([
      '1.5.0 9 applied',
      '1.6.0 1 pending',
    ]);
  });

  it('has no missing ones when all rows have files, and no pending ones when all files have rows', () => {
    const entries = describeHistory(alterationsOf('1.0.0-1'), rowsOf('1.0.0-1'), new Set());

    expect(entries.map(({ state }) => state)).toEqual(['applied']);
  });
});

describe('the version that a database is at', () => {
  it.each<{ what: string; files: string[]; rows: string[]; version: string | undefined }>([
    { what: 'is none for an empty history', files: ['1.0.0-1'], rows: [], version: undefined },
    {
      what: 'is the newest applied one, holes or not',
      files: ['1.0.0-1', '1.1.0-2', '1.2.0-3', '1.3.0-4'],
      rows: ['1.2.0-3', /* 2 */ '1.0.0-1' /* 4 */],
      version: '1.2.0',
    },
    {
      what: 'is ordered by semver, not by timestamp',
      files: ['1.10.0-1', '1.9.0-2'],
      rows: ['1.10.0-1', '1.9.0-2'],
      version: '1.10.0',
    },
    { what: 'may be next', files: ['1.0.0-1', 'next-2'], rows: ['1.0.0-1', 'next-2'], version: 'next' },
    { what: 'is what the file says now', files: ['1.5.0-2'], rows: ['next-2'], version: '1.5.0' },
    {
      what: 'counts rows without a file',
      files: ['1.0.0-1'],
      rows: ['1.0.0-1', '1.1.0-2'],
      version: '1.1.0',
    },
    {
      what: 'does not count what was only begun',
      files: ['1.0.0-1', '1.1.0-2'],
      rows: ['1.0.0-1', '*1.1.0-2'],
      version: '1.0.0',
    },
  ])('$what', ({ files, rows, version }) => {
    expect(currentVersion(alterationsOf(...files), rowsOf(...rows))).toBe(version);
  });
});

/** `2`, `2 late`, `2 late started`. */
function renderStep({ alteration: { id }, late, begun }: Step): string {
  return [id, late && 'late', begun && 'started'].filter(Boolean).join(' ');
}

function placesOf(rows: readonly HistoryRow[]): readonly string[] {
  return rows.map(({ version, id }) => `${version}-${id}`);
}
