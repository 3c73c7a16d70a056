import { renderDuration } from '../../core/duration.ts';
import type { Ending, Report } from '../ending.ts';
import { countOf, isOrAre } from '../report-words.ts';
import { summarise } from '../summarise.ts';
import { cutText } from '../termination-log.ts';

/** GitHub takes no more of one step, and then shows nothing of it. */
export const summaryLimitBytes = 1024 * 1024;
const mostRows = 500;
const longestText = 64 * 1024;
const longestSentence = 2 * 1024;

/**
 * The job summary of a command, in Markdown: what it did or why it failed, what is applied and what is not. What does
 * not fit into the bytes is left out, at worst all of it.
 */
export function renderSummary(ending: Ending, roomBytes: number): string {
  const heading = renderHeading(ending);
  const candidates = [
    [heading, ...renderParts(ending)],
    [heading, 'The rest is too long for a summary; the log has it.'],
  ].map((parts) => `${parts.join('\n\n')}\n\n`);
  return candidates.find((text) => Buffer.byteLength(text) <= roomBytes) ?? '';
}

function renderHeading(ending: Ending): string {
  const { command, exitCode, document } = ending;
  const sign = exitCode === 0 ? '✔' : '✖';
  const name = renderCode(
    ['alteration', command, 'target' in document ? document.target : ''].filter(Boolean).join(' '),
  );
  const failed = exitCode === 0 ? '' : ` (exit code ${exitCode})`;
  const said = 'error' in document ? document.error.message : summarise(document);
  return `### ${sign} ${name}${failed}: ${renderText(said)}`;
}

function renderParts({ document, text }: Ending): readonly string[] {
  if ('error' in document) return [renderBlock(text), ...renderProgress(document.error)];
  switch (document.command) {
    case 'deploy':
      return renderDeploy(document);
    case 'rollback':
      return [
        ...renderDatabase(document),
        ...renderSteps(document.rolledBack, 'rolled back'),
        ...renderPlan(document),
      ];
    case 'create':
    case 'release':
    case 'baseline':
    case 'list':
    case 'status':
    case 'check':
      return [renderBlock(text)];
  }
}

type ReportOf<C extends Report['command']> = Extract<Report, { command: C }>;

function renderDeploy(report: ReportOf<'deploy'>): readonly string[] {
  const { applied, accepted, missing, pending, target } = report;
  const notes = [
    ...missing.map(
      ({ version, id, name }) =>
        `- applied, but the file is missing: ${renderText(`${name} (${version}, ${id})`)}`,
    ),
    ...accepted.map((file) => `- accepted as it is now, edited after it was applied: ${renderCode(file)}`),
    ...(pending > 0
      ? [`- ${countOf(pending)} beyond ${renderText(target)} ${isOrAre(pending)} pending`]
      : []),
  ];
  return [
    ...renderDatabase(report),
    ...renderSteps(applied, 'applied'),
    ...renderPlan(report),
    ...(notes.length > 0 ? [cutRows(notes).join('\n')] : []),
  ];
}

function renderDatabase({
  database,
  version,
  versionBefore,
}: ReportOf<'deploy' | 'rollback'>): readonly string[] {
  const { host, port, database: name, role } = database;
  const where = host === undefined ? '' : ` at ${host}${port === undefined ? '' : `:${port}`}`;
  const before = version === versionBefore ? '' : ` (was ${versionBefore ?? 'at none'})`;
  return [
    `Database ${renderText(`${name}${where} as ${role}`)}: version **${renderText(version ?? 'none')}**${renderText(before)}.`,
  ];
}

interface Step {
  readonly file: string;
  readonly late?: boolean;
  readonly durationMs: number;
}

function renderSteps(steps: readonly Step[], done: string): readonly string[] {
  const rows = steps.map(({ file, late, durationMs }) => [
    renderCode(file),
    late ? `${done}, late` : done,
    renderDuration(durationMs),
  ]);
  return renderTable(['alteration', 'state', 'took'], rows);
}

function renderPlan({ planned }: ReportOf<'deploy' | 'rollback'>): readonly string[] {
  const rows = planned.map((step) => [
    renderCode(step.file),
    'late' in step && step.late ? 'planned, late' : 'planned',
  ]);
  return renderTable(['alteration', 'state'], rows);
}

type Failure = Extract<Ending['document'], { error: unknown }>['error'];

/** What a failed run has done before, and what not; of very many those next to the failure. */
function renderProgress({ progress, alteration }: Failure): readonly string[] {
  if (!progress) return [];
  const { direction, done, remaining } = progress;
  const verb = direction === 'up' ? 'applied' : 'rolled back';
  const before = done.length - mostRows / 2;
  return renderTable(
    ['alteration', 'state'],
    [
      ...(before > 0 ? [[`${countOf(before)} before these`, verb]] : []),
      ...done.slice(-mostRows / 2).map((file) => [renderCode(file), verb]),
      ...remaining.map((file) => [renderCode(file), file === alteration ? '**failed**' : `not ${verb}`]),
    ],
  );
}

/** A table of cells that are Markdown already. */
function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  if (rows.length === 0) return [];
  const lines = cutRows(rows.map((row) => `| ${row.join(' | ')} |`));
  return [[`| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`, ...lines].join('\n')];
}

/** The rows, or as many as somebody may read. */
function cutRows(rows: readonly string[]): readonly string[] {
  if (rows.length <= mostRows) return rows;
  return [...rows.slice(0, mostRows), `| and ${rows.length - mostRows} more |`];
}

/** Text as it is, whatever Markdown or HTML it holds: character references are never markup. */
export function renderText(text: string): string {
  return cutText(text, longestSentence)
    .replace(/[&<>"'`*_~[\]|\\#@$:]/g, (character) => `&#${character.charCodeAt(0)};`)
    .replace(/\s+/g, ' ');
}

function renderCode(text: string): string {
  return `<code>${renderText(text)}</code>`;
}

/** Text in lines, in a fence that is longer than any within. */
function renderBlock(text: string): string {
  const runs = text.match(/`{3,}/g) ?? [];
  const fence = '`'.repeat(Math.max(3, ...runs.map((run) => run.length + 1)));
  return `${fence}text\n${cutText(text, longestText).trimEnd()}\n${fence}`;
}
