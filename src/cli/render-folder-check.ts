import type { FolderCheckReport, FolderProblem } from '../operations/reports.ts';
import type { Palette } from './palette.ts';
import { countOf } from './report-words.ts';

/** One line a problem, as compilers write them, and one that counts them. `folder` as the user names it. */
export function renderFolderCheck(report: FolderCheckReport, folder: string, palette: Palette): string {
  return [
    ...report.problems.map((problem) => renderProblem(problem, folder)),
    renderCount(report, palette),
  ].join('\n');
}

function renderProblem({ file, line, column, message }: FolderProblem, folder: string): string {
  const path = file === '.' ? folder : `${folder.replace(/\/+$/, '')}/${file}`;
  const place = [path, line, line === undefined ? undefined : column].filter((part) => part !== undefined);
  return `${place.join(':')}: ${message}`.trim().replaceAll(/\s*[\r\n]\s*/g, ' ');
}

function renderCount(
  { alterations, problems, comparedWith, notCompared }: FolderCheckReport,
  palette: Palette,
): string {
  const { length } = problems;
  const unknown = notCompared && notCompared !== 'problem' ? ` (${unknownPasts[notCompared]})` : '';
  if (length > 0) {
    const count = palette.bad(`${length} ${length === 1 ? 'problem' : 'problems'}`);
    return `${count} in ${countOf(alterations)}${unknown}.`;
  }
  const past = comparedWith === 'history' ? "git's history" : comparedWith;
  return `${countOf(alterations)}: ${palette.good('no problems')}${unknown || ` (compared with ${past})`}.`;
}

const unknownPasts = {
  'no-git': 'there is no git here: order and released files were not compared',
  'no-repository': 'not in a git repository: order and released files were not compared',
  ignored: 'git ignores the folder: order and released files were not compared',
} as const;
