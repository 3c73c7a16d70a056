import { stripVTControlCharacters } from 'node:util';
import { renderDuration } from '../core/duration.ts';
import type {
  BaselineReport,
  CheckReport,
  CreateReport,
  Listed,
  ListReport,
  ReleaseReport,
  RollbackReport,
  StatusReport,
} from '../operations/reports.ts';
import type { Palette } from './palette.ts';
import {
  atVersion,
  countOf,
  renderDatabase,
  renderHolder,
  renderMissing,
  renderMoment,
  summariseStates,
} from './report-words.ts';
import { renderTable } from './table.ts';
import { wrapText } from './wrap-text.ts';

export function renderRollback(report: RollbackReport, palette: Palette): string {
  const { rolledBack, planned, dryRun, target, version, durationMs } = report;
  if (dryRun && planned.length > 0) {
    return `Would roll back ${countOf(planned.length)} to reach ${target}:\n${renderPlanned(planned)}\nNothing was changed.`;
  }
  if (rolledBack.length === 0) {
    return `Nothing ${dryRun ? 'to roll' : 'rolled'} back: the database is ${atVersion(version)}.`;
  }
  return `${palette.good(`Rolled back ${countOf(rolledBack.length)}`)} in ${renderDuration(durationMs)}: the database is ${atVersion(version)}.`;
}

/** What a rollback is about to take back, newest first. */
export function renderPlanned(planned: RollbackReport['planned']): string {
  return renderTable(
    planned.map(({ version, id, name }) => [version, id, name]),
    [],
    2,
  );
}

/** Every alteration on a line of its own, with as many columns as the width has room for. */
export function renderList(report: ListReport, palette: Palette, width = Number.POSITIVE_INFINITY): string {
  if (report.alterations.length === 0) return 'No alterations.';
  let table = '';
  for (const left of [[], ['TIMESTAMP'], ['TIMESTAMP', 'TOOK'], ['TIMESTAMP', 'TOOK', 'APPLIED (UTC)']]) {
    table = renderListed(report.alterations, left, palette);
    if (widthOf(table) <= width) break;
  }
  return `${table}\n\n${summariseStates(report.alterations, report.version)}`;
}

function renderListed(alterations: readonly Listed[], left: readonly string[], palette: Palette): string {
  const columns = listColumns.filter(({ title }) => !left.includes(title));
  const rows = alterations.map((one) => columns.map(({ cell }) => cell(one, palette)));
  const head = columns.map(({ title }) => palette.quiet(title));
  return renderTable(
    [head, ...rows],
    columns.map(({ title }) => (title === 'TOOK' ? 'right' : 'left')),
  );
}

const listColumns: readonly { title: string; cell: (one: Listed, palette: Palette) => string }[] = [
  { title: 'STATE', cell: ({ state }, palette) => paintState(state, palette) },
  { title: 'VERSION', cell: ({ version }) => version },
  { title: 'TIMESTAMP', cell: ({ id }) => id },
  {
    title: 'NAME',
    cell: ({ name, state, statementsDone }) =>
      statementsDone === null
        ? name
        : `${name} (half ${state === 'applied' ? 'rolled back' : 'done'}: ${statementsOf(statementsDone)})`,
  },
  {
    title: 'APPLIED (UTC)',
    cell: ({ appliedAt }) => (appliedAt ? appliedAt.slice(0, 16).replace('T', ' ') : ''),
  },
  { title: 'TOOK', cell: ({ durationMs }) => (durationMs === null ? '' : renderDuration(durationMs)) },
];

function widthOf(text: string): number {
  return Math.max(
    ...stripVTControlCharacters(text)
      .split('\n')
      .map((line) => line.length),
  );
}

/** Of the values: they stand in 80 columns, beside the labels. */
const statusWidth = 65;

export function renderStatus(report: StatusReport, palette: Palette): string {
  const { database, history, version, counts, pending, lastDeploy, lock } = report;
  const troubles = (['late', 'missing', 'edited'] as const).filter((state) => counts[state] > 0);
  const rows = [
    ['Database', renderDatabase(database)],
    ['History', `${history.schema}.${history.table}${history.exists ? '' : ' (not there yet)'}`],
    ['Version', version ?? 'none: nothing is applied'],
    ['Applied', String(counts.applied + counts.edited)],
    [
      'Pending',
      pending.length > 0 ? pending.map((one) => `${one.version}:\u00a0${one.count}`).join(', ') : 'nothing',
    ],
    ...troubles.map((state) => [capitalise(state), palette.notice(String(counts[state]))]),
    ['Last deploy', lastDeploy ? renderLastDeploy(lastDeploy) : 'none'],
    ['Lock', lock ? renderHolder(lock) : 'free'],
  ];
  const shown = (value: string) => wrapText(value, statusWidth).replaceAll('\u00a0', ' ');
  return renderTable(rows.map(([label = '', value = '']) => [palette.quiet(label), shown(value)]));
}

export function renderCheck(report: CheckReport, palette: Palette): string {
  const lines: string[] = [];
  if (report.missing.length > 0) lines.push(renderMissing(report.missing, palette));
  for (const file of report.edited) lines.push(`${palette.bad('Edited')} after it was applied: ${file}`);
  if (report.pending.length > 0) {
    const rows = report.pending.map(({ version, id, name, late }) => [
      version,
      id,
      name,
      late ? palette.notice('late') : '',
    ]);
    lines.push(
      `${palette.notice(`${capitalise(countOf(report.pending.length))} pending`)} to reach ${report.target}:`,
      renderTable(rows, [], 2),
    );
  }
  for (const { version, id, name } of report.reverting) {
    lines.push(`${palette.bad('Half rolled back')}: ${version}-${id}-${name}`);
  }
  if (report.result === 'integrity' && report.edited.length === 0 && report.reverting.length === 0) {
    lines.push(`${palette.bad('Late')} ones break the strict order that was asked for.`);
  }
  if (report.result === 'up-to-date')
    lines.push(`${palette.good('Up to date')}: the database is ${atVersion(report.version)}.`);
  return lines.join('\n');
}

export function renderBaseline(report: BaselineReport, palette: Palette): string {
  const { recorded, dryRun, target, version } = report;
  if (recorded.length === 0) return `Nothing to record: no alteration belongs to ${target}.`;
  const done = `${countOf(recorded.length)} as applied, without running ${recorded.length === 1 ? 'it' : 'them'}`;
  if (dryRun) return `Would record ${done}:\n${renderPlanned(recorded)}\nNothing was changed.`;
  return `${palette.good('Recorded')} ${done}: the database is ${atVersion(version)}.`;
}

export function renderCreate({ files }: CreateReport, folder: string): string {
  return files.map((file) => `Created ${folder}/${file}`).join('\n');
}

export function renderRelease({ renamed, dryRun, version }: ReleaseReport): string {
  if (renamed.length === 0) return 'Nothing to release: there are no next alterations.';
  const moves = renamed.map(({ from, to }) => `  ${from}\n    -> ${to}`).join('\n');
  const files = `${renamed.length} ${renamed.length === 1 ? 'file' : 'files'}`;
  return `${dryRun ? `Would rename ${files} to` : `Renamed ${files} to`} ${version}:\n${moves}`;
}

function statementsOf(count: number): string {
  return count === 1 ? '1 statement' : `${count} statements`;
}

function renderLastDeploy({ at, applied, role, host }: NonNullable<StatusReport['lastDeploy']>): string {
  return `${renderMoment(at)}, ${countOf(applied)} by ${role} from ${host}`;
}

function paintState(state: Listed['state'], palette: Palette): string {
  if (state === 'applied') return palette.good(state);
  if (state === 'edited' || state === 'missing') return palette.bad(state);
  return palette.notice(state);
}

function capitalise(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
