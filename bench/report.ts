// Results as Markdown: a table a measure, a row a contestant.

import { wrapText } from '../src/cli/wrap-text.ts';
import { median } from './median.ts';
import { renderTable } from './render-table.ts';
import type {
  ContestantFacts,
  Measure,
  MeasuredTrial,
  Outcome,
  Results,
  Sample,
  Session,
} from './results.ts';

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
  readonly explain: (session: Session, trials: readonly MeasuredTrial[]) => string;
  readonly columns: (
    trials: readonly MeasuredTrial[],
    chapter: Chapter,
    session: Session,
  ) => readonly Column[];
}

export function renderReport(results: Results): string {
  const chapters = Object.entries(chapterOf) as readonly [Measure, Chapter][]; // the keys are measures
  const sections = chapters.flatMap(([measure, chapter]) => {
    const trials = results.trials.filter((trial) => trial.measure === measure);
    const session = results.sessions.find(({ began }) => began === trials.at(-1)?.session);
    return session === undefined ? [] : [renderChapter(chapter, trials, session)];
  });
  const contestants = new Map(
    results.sessions.flatMap((session) =>
      session.contestants.map((contestant) => [contestant.name, contestant]),
    ),
  );
  return [renderSetUp(results), ...sections, renderContestants([...contestants.values()])]
    .join('\n\n')
    .concat('\n');
}

const chapterOf: Readonly<Record<Measure, Chapter>> = {
  version: {
    title: 'Cold start',
    floor: 'bare-node',
    explain: () => '`--version`; for a library without a command line, a script that loads it and ends.',
    columns: (...given) => [...timeColumns(...given), ...memoryColumns(given[0])],
  },
  'no-op': {
    title: 'Nothing to do',
    floor: 'bare-node-pg',
    explain: () => 'A deploy that finds so many alterations, all of them applied.',
    columns: (trials, chapter, session) => [
      ...timeColumns(trials, chapter, session),
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
    columns: (...given) => [...timeColumns(...given), ...memoryColumns(given[0])],
  },
  list: {
    title: 'List',
    floor: 'bare-node-pg',
    explain: () => 'What is applied and what is pending, where a tool tells it.',
    columns: (...given) => [...timeColumns(...given), ...memoryColumns(given[0])],
  },
  'slow-deploy': {
    title: 'A first deploy over a network',
    floor: 'psql-each',
    explain: ({ network, statements }) =>
      `${explainNetwork(network)} An alteration has ${statements} statements on average.`,
    columns: (trials, chapter, session) => [
      ...timeColumns(trials, chapter, session),
      ...trafficColumns(trials, 'round trips an alteration', ({ afterwards }, size) => afterwards / size),
    ],
  },
  'slow-no-op': {
    title: 'Nothing to do, over a network',
    floor: 'bare-node-pg',
    explain: ({ network }) => explainNetwork(network),
    columns: (trials, chapter, session) => [
      ...timeColumns(trials, chapter, session),
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

function renderSetUp({ sessions, trials }: Results): string {
  const alike = Map.groupBy(sessions, renderConditions);
  const conditions = [...alike].map(([text, own]) => {
    const measured = trials.filter(({ session }) => own.some(({ began }) => began === session));
    const titles = new Set(measured.map(({ measure }) => chapterOf[measure].title));
    const what = alike.size === 1 ? '' : `${[...titles].join('; ')}. `;
    return wrapText(`${what}${text}`, width);
  });
  const method = [
    'Whole processes, from start to end: the median of the rounds and (least–most), in milliseconds; `×` is the ratio of',
    'the median to that of the floor. In each round every contestant has its turn once. What a deploy has left is compared',
    'with what the alterations make of an empty database, and what a deploy with nothing to do has left with what was',
    'there before; whoever differs has failed and is not measured. MB is the most memory that a process had, the median',
    'of it.',
  ];
  return [...conditions, wrapText(method.join(' '), width)].join('\n\n');
}

function renderConditions({ began, machine, node, meter, server, rounds }: Session): string {
  return [
    `Measured on ${began.slice(0, 10)}: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, ${machine.os};`,
    `PostgreSQL ${server.version} on the same machine (fsync ${server.fsync}, synchronous_commit`,
    `${server.synchronousCommit}, data on ${server.fileSystem}); Node ${node}; ${rounds} rounds, where a column does not`,
    `say otherwise; ${meter === 'none' ? 'memory not measured.' : `processes started by ${meter}.`}`,
  ].join(' ');
}

function explainNetwork({ delayMs, directRoundTripMs, roundTripMs }: Session['network']): string {
  return [
    `A proxy hands everything over ${delayMs} ms later, in each direction; a round trip was measured to take`,
    `${roundTripMs.toFixed(2)} ms through it and ${directRoundTripMs.toFixed(2)} ms without.`,
    'A round trip is what a client sends until it is answered.',
  ].join(' ');
}

function renderChapter(chapter: Chapter, trials: readonly MeasuredTrial[], session: Session): string {
  const columns = chapter.columns(trials, chapter, session);
  const rows = session.contestants
    .map(({ name }) => [name, ...columns.map(({ cell }) => cell(name) ?? '')])
    .filter(([, ...cells]) => cells.some((cell) => cell !== ''));
  return [
    `### ${chapter.title}`,
    wrapText([chapter.explain(session, trials), ...renderFloors(chapter, session, rows)].join(' '), width),
    renderTable(['', ...columns.map(({ head }) => head)], rows, 'right'),
    ...renderFailures(trials),
  ].join('\n\n');
}

function renderFloors(
  { floor }: Chapter,
  { contestants }: Session,
  rows: readonly (readonly string[])[],
): readonly string[] {
  if (floor === undefined) return [];
  const others = contestants.filter(
    (each) => each.floor !== undefined && rows.some(([name]) => name === each.name),
  );
  const exceptions = others.map((each) => `that of ${each.name} is ${each.floor}`);
  return [`${[`The floor is ${floor}`, ...exceptions].join('; ')}.`];
}

function renderFailures(trials: readonly MeasuredTrial[]): readonly string[] {
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

function timeColumns(
  trials: readonly MeasuredTrial[],
  { floor }: Chapter,
  { contestants, rounds }: Session,
): readonly Column[] {
  return trials.map((trial) => ({
    head: [headOf(trial), ...(trial.rounds === rounds ? [] : [`(${trial.rounds} rounds)`])].join(' '),
    cell: (name) => {
      const own = contestants.find((contestant) => contestant.name === name)?.floor ?? floor;
      const least = own === undefined ? undefined : medianOf(trial, own, ({ ms }) => ms);
      return renderTimes(findOutcome(trial, name), least);
    },
  }));
}

function headOf({ size }: MeasuredTrial): string {
  return size === 0 ? 'ms' : count(size);
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
function memoryColumns(trials: readonly MeasuredTrial[]): readonly Column[] {
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
  trials: readonly MeasuredTrial[],
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
  trials: readonly MeasuredTrial[],
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
  trial: MeasuredTrial,
  name: string,
  render: (samples: readonly Sample[]) => string,
): string | undefined {
  const samples = keptSamples(trial, name);
  return samples.length === 0 ? undefined : render(samples);
}

function medianOf(
  trial: MeasuredTrial,
  name: string,
  read: (sample: Sample) => number | undefined,
): number | undefined {
  const values = keptSamples(trial, name).flatMap((sample) => read(sample) ?? []);
  return values.length === 0 ? undefined : median(values);
}

/** None of one that failed, also where earlier rounds went well. */
function keptSamples(trial: MeasuredTrial, name: string): readonly Sample[] {
  const outcome = findOutcome(trial, name);
  return outcome?.failure === undefined ? (outcome?.samples ?? []) : [];
}

function findOutcome({ outcomes }: MeasuredTrial, name: string): Outcome | undefined {
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
