// Results as Markdown: a table a measure, a row a contestant.

import { wrapText } from '../src/cli/wrap-text.ts';
import { median } from './median.ts';
import { renderTable } from './render-table.ts';
import type { ContestantFacts, Measure, Outcome, Results, Sample, TrialResult } from './results.ts';

const width = 118;

interface Column {
  readonly head: string;
  /** The cell of a contestant; undefined where it was not measured. */
  readonly cell: (contestant: string) => string | undefined;
}

/** How a measure is told. */
interface Chapter {
  readonly title: string;
  /** What the others are divided by. */
  readonly floor?: string;
  readonly explain: (results: Results, trials: readonly TrialResult[]) => string;
  readonly columns: (trials: readonly TrialResult[], chapter: Chapter, results: Results) => readonly Column[];
}

export function renderReport(results: Results): string {
  const chapters = Object.entries(chapterOf) as readonly [Measure, Chapter][]; // the keys are measures
  const sections = chapters.flatMap(([measure, chapter]) => {
    const trials = results.trials.filter((trial) => trial.measure === measure);
    return trials.length === 0 ? [] : [renderChapter(chapter, trials, results)];
  });
  return [renderSetUp(results), ...sections, renderContestants(results.contestants)]
    .join('\n\n')
    .concat('\n');
}

const chapterOf: Readonly<Record<Measure, Chapter>> = {
  version: {
    title: 'Cold start',
    floor: 'bare-node',
    explain: () => '`--version`; for a library without a command line, a script that loads it and ends.',
    columns: (trials, chapter) => [...timeColumns(trials, chapter), ...memoryColumns(trials)],
  },
  'no-op': {
    title: 'Nothing to do',
    floor: 'bare-node-pg',
    explain: () => 'A deploy that finds so many alterations, all of them applied.',
    columns: (trials, chapter) => [
      ...timeColumns(trials, chapter),
      ...growthColumns('time', trials, ({ ms }) => ms),
      ...memoryColumns(trials),
      ...growthColumns('memory', trials, ({ peakKb }) => peakKb),
    ],
  },
  deploy: {
    title: 'A first deploy',
    floor: 'psql-each',
    explain: ({ statements }) =>
      `So many alterations into an empty database; ${statements} statements each, on average.`,
    columns: (trials, chapter) => [...timeColumns(trials, chapter), ...memoryColumns(trials)],
  },
  list: {
    title: 'List',
    floor: 'bare-node-pg',
    explain: () => 'What is applied and what is pending, where a tool tells it.',
    columns: (trials, chapter) => [...timeColumns(trials, chapter), ...memoryColumns(trials)],
  },
  'slow-deploy': {
    title: 'A first deploy over a network',
    floor: 'psql-each',
    explain: ({ network, statements }) =>
      `${explainNetwork(network)} An alteration has ${statements} statements on average.`,
    columns: (trials, chapter) => [
      ...timeColumns(trials, chapter),
      ...trafficColumns(trials, 'round trips an alteration', ({ afterwards }, size) => afterwards / size),
    ],
  },
  'slow-no-op': {
    title: 'Nothing to do, over a network',
    floor: 'bare-node-pg',
    explain: ({ network }) => explainNetwork(network),
    columns: (trials, chapter) => [
      ...timeColumns(trials, chapter),
      ...trafficColumns(trials, 'round trips', ({ afterwards }) => afterwards),
    ],
  },
  'at-once': {
    title: 'Many at once',
    explain: ({ crowd }, trials) =>
      `${crowd} processes that start together on an empty database with ${trials.map(({ size }) => count(size)).join(' or ')} alterations, from the first start to the last end; each has to end well. Tools without a lock are left out. \`×\` is the ratio to one process alone.`,
    columns: (trials, _, { crowd }) =>
      trials.flatMap((trial) => [
        { head: 'alone', cell: (name) => mapSamples(trial, name, renderAlone) },
        { head: `${crowd} at once`, cell: (name) => renderTimes(findOutcome(trial, name), undefined) },
        { head: '×', cell: (name) => mapSamples(trial, name, renderCrowdRatio) },
      ]),
  },
};

function renderSetUp({ date, machine, node, server, rounds }: Results): string {
  return wrapText(
    [
      `Measured on ${date}: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.os}; PostgreSQL`,
      `${server.version} on the same machine (fsync ${server.fsync}, synchronous_commit ${server.synchronousCommit}, data on`,
      `${server.fileSystem}); Node ${node}. Whole processes, started by GNU time, from start to end: the median of ${rounds}`,
      'rounds and (least–most), in milliseconds; `×` is the ratio of the median to that of the floor. In each round every',
      'contestant has its turn once. After each deploy the schema and the rows are compared with what the alterations make',
      'of an empty database, and after each no-op with what was there before; whoever differs has failed and is not',
      'measured. MB is the most memory that a process had, the median of it.',
    ].join(' '),
    width,
  );
}

function explainNetwork({ delayMs, directRoundTripMs, roundTripMs }: Results['network']): string {
  return [
    `A proxy hands everything over ${delayMs} ms later, in each direction; a round trip was measured to take`,
    `${roundTripMs.toFixed(2)} ms through it and ${directRoundTripMs.toFixed(2)} ms without.`,
    'A round trip is what a client sends until it is answered.',
  ].join(' ');
}

function renderChapter(chapter: Chapter, trials: readonly TrialResult[], results: Results): string {
  const columns = chapter.columns(trials, chapter, results);
  const rows = results.contestants
    .map(({ name }) => [name, ...columns.map(({ cell }) => cell(name) ?? '')])
    .filter(([, ...cells]) => cells.some((cell) => cell !== ''));
  const floor = chapter.floor === undefined ? [] : [`The floor is ${chapter.floor}.`];
  return [
    `### ${chapter.title}`,
    wrapText([chapter.explain(results, trials), ...floor].join(' '), width),
    renderTable(['', ...columns.map(({ head }) => head)], rows, 'right'),
    ...renderFailures(trials),
  ].join('\n\n');
}

function renderFailures(trials: readonly TrialResult[]): readonly string[] {
  const lines = trials.flatMap(({ size, outcomes }) =>
    outcomes.flatMap(({ contestant, failure }) =>
      failure === undefined ? [] : [`- ${contestant}, ${count(size)}: \`${failure.replaceAll('`', "'")}\``],
    ),
  );
  return lines.length === 0 ? [] : [`Failed:\n\n${lines.join('\n')}`];
}

function renderContestants(contestants: readonly ContestantFacts[]): string {
  const rows = contestants.map(({ name, kind, version, note, transactions, lock }) => [
    name,
    version ?? '',
    note,
    ...(kind === 'floor' ? ['', ''] : [transactions, lock]),
  ]);
  const explanation =
    'Transactions: what a tool puts into one, where it makes any. Lock: what becomes of a second process at the same time.';
  const table = renderTable(['', 'version', 'how', 'transactions', 'lock'], rows, 'left');
  return `### Contestants\n\n${explanation}\n\n${table}`;
}

function timeColumns(trials: readonly TrialResult[], { floor }: Chapter): readonly Column[] {
  return trials.map((trial) => {
    const least = floor === undefined ? undefined : medianOf(trial, floor, ({ ms }) => ms);
    return {
      head: trial.size === 0 ? 'ms' : count(trial.size),
      cell: (name) => renderTimes(findOutcome(trial, name), least),
    };
  });
}

function renderTimes(outcome: Outcome | undefined, floor: number | undefined): string | undefined {
  if (outcome === undefined) return undefined;
  if (outcome.failure !== undefined) return 'failed';
  const times = outcome.samples.map(({ ms }) => ms);
  const spread = `(${round(Math.min(...times))}–${round(Math.max(...times))})`;
  const ratio = floor === undefined ? [] : [`${(median(times) / floor).toFixed(2)} ×`];
  return [round(median(times)), spread, ...ratio].join(' ');
}

/** Of the smallest and the largest history. */
function memoryColumns(trials: readonly TrialResult[]): readonly Column[] {
  return ends(trials).map((trial) => ({
    head: trial.size === 0 ? 'MB' : `MB at ${count(trial.size)}`,
    cell: (name) => {
      const peak = medianOf(trial, name, ({ peakKb }) => peakKb);
      return peak === undefined ? undefined : (peak / 1_024).toFixed(0);
    },
  }));
}

/** How the largest history compares with the smallest. */
function growthColumns(
  what: string,
  trials: readonly TrialResult[],
  read: (sample: Sample) => number | undefined,
): readonly Column[] {
  const [smallest, largest] = ends(trials);
  if (smallest === undefined || largest === undefined) return [];
  const cell = (name: string) => {
    const [low, high] = [medianOf(smallest, name, read), medianOf(largest, name, read)];
    return low === undefined || high === undefined ? undefined : `${(high / low).toFixed(2)} ×`;
  };
  return [{ head: `${what}, ${count(largest.size)} to ${count(smallest.size)}`, cell }];
}

function trafficColumns(
  trials: readonly TrialResult[],
  head: string,
  read: (traffic: NonNullable<Sample['traffic']>, size: number) => number,
): readonly Column[] {
  return trials.flatMap((trial) => {
    const column = (title: string, value: typeof read, digits: number): Column => ({
      head: title,
      cell: (name) =>
        medianOf(trial, name, ({ traffic }) => traffic && value(traffic, trial.size))?.toFixed(digits),
    });
    return [
      column(head, read, head === 'round trips' ? 0 : 2),
      column('to connect', ({ connecting }) => connecting, 0),
      column('connections', ({ connections }) => connections, 0),
    ];
  });
}

function renderAlone(samples: readonly Sample[]): string {
  return round(median(samples.map(({ aloneMs = Number.NaN }) => aloneMs)));
}

function renderCrowdRatio(samples: readonly Sample[]): string {
  return median(samples.map(({ ms, aloneMs = Number.NaN }) => ms / aloneMs)).toFixed(2);
}

function mapSamples(
  trial: TrialResult,
  name: string,
  render: (samples: readonly Sample[]) => string,
): string | undefined {
  const samples = keptSamples(trial, name);
  return samples.length === 0 ? undefined : render(samples);
}

function medianOf(
  trial: TrialResult,
  name: string,
  read: (sample: Sample) => number | undefined,
): number | undefined {
  const values = keptSamples(trial, name).flatMap((sample) => read(sample) ?? []);
  return values.length === 0 ? undefined : median(values);
}

/** None of one that failed, also where earlier rounds went well. */
function keptSamples(trial: TrialResult, name: string): readonly Sample[] {
  const outcome = findOutcome(trial, name);
  return outcome?.failure === undefined ? (outcome?.samples ?? []) : [];
}

function findOutcome({ outcomes }: TrialResult, name: string): Outcome | undefined {
  return outcomes.find(({ contestant }) => contestant === name);
}

function ends<T>(items: readonly T[]): readonly T[] {
  return items.length < 2 ? items : [...items.slice(0, 1), ...items.slice(-1)];
}

function round(ms: number): string {
  return ms < 9.95 ? ms.toFixed(1) : count(Math.round(ms));
}

function count(value: number): string {
  return value.toLocaleString('en');
}
