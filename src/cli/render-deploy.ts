import { renderDuration } from '../core/duration.ts';
import type { DeployReport } from '../operations/reports.ts';
import type { Palette } from './palette.ts';
import { atVersion, countOf, renderMissing } from './report-words.ts';

/** The table of a dry run brings a package along, which a deploy does without. */
export async function renderDeploy(report: DeployReport, palette: Palette): Promise<string> {
  const lines: string[] = [];
  for (const { file, from, to } of report.renamed) {
    const what = from === to ? `the new name of ${file}` : `${file} as ${to} (was ${from})`;
    lines.push(`${report.dryRun ? 'Would record' : 'Recorded'} ${what}.`);
  }
  for (const file of report.accepted) {
    lines.push(`${report.dryRun ? 'Would accept' : 'Accepted'} the edited ${file}.`);
  }
  if (report.missing.length > 0) lines.push(renderMissing(report.missing, palette));
  if (report.dryRun) lines.push(await renderDryRun(report, palette));
  else lines.push(renderDeployed(report, palette));
  if (report.pending > 0) {
    lines.push(
      palette.quiet(
        `${countOf(report.pending)} beyond ${report.target} ${report.pending === 1 ? 'is' : 'are'} pending.`,
      ),
    );
  }
  return lines.join('\n');
}

function renderDeployed(
  { applied, version, versionBefore, durationMs }: DeployReport,
  palette: Palette,
): string {
  if (applied.length === 0) return `${palette.good('Nothing to do')}: the database is ${atVersion(version)}.`;
  const late = applied.filter((step) => step.late).length;
  const lateNote = late > 0 ? palette.notice(` ${late} of them ${late === 1 ? 'was' : 'were'} late.`) : '';
  return `${palette.good(`Applied ${countOf(applied.length)}`)} in ${renderDuration(durationMs)}: the database is ${atVersion(version)} (${versionBefore ? `was ${versionBefore}` : 'nothing was applied before'}).${lateNote}`;
}

async function renderDryRun({ planned, target, version }: DeployReport, palette: Palette): Promise<string> {
  if (planned.length === 0) return `Nothing to do: the database is ${atVersion(version)}.`;
  const { renderTable } = await import('./table.ts');
  const rows = planned.map(({ version: own, id, name, late }) => [
    own,
    id,
    name,
    late ? palette.notice('late') : '',
  ]);
  return `Would apply ${countOf(planned.length)} to reach ${target}:\n${renderTable(rows, [], 2)}\nNothing was changed.`;
}
