import { renderVersionInFileName } from '../../core/version.ts';
import type { CheckReport, ErrorReport, FolderProblem } from '../../operations/reports.ts';
import type { Ending, Report } from '../ending.ts';
import { countOf, isOrAre } from '../report-words.ts';

/** What a pipeline should point at. */
export interface Finding {
  readonly level: 'error' | 'warning';
  /** Stable word for its kind: the code of an error, a state, or a rule of the folder's check. */
  readonly rule: string;
  readonly title: string;
  readonly message: string;
  /** Relative to the alterations folder. */
  readonly file?: string;
  /** 1-based. */
  readonly line?: number;
  /** 1-based. */
  readonly column?: number;
}

/** Everything in an ending that somebody should look at, what made it fail first. */
export function listFindings({
  document,
  exitCode,
}: Pick<Ending, 'document' | 'exitCode'>): readonly Finding[] {
  if ('error' in document) return findFailures(document.command, document.error);
  switch (document.command) {
    case 'deploy':
      return findInDeploy(document);
    case 'check':
      return 'mode' in document ? document.problems.map(findInFolder) : findInCheck(document, exitCode);
    case 'list':
      return findInList(document);
    case 'status':
      return findInStatus(document);
    default:
      return [];
  }
}

type ReportOf<C extends Report['command']> = Extract<Report, { command: C }>;

function findFailures(command: string | null, error: ErrorReport['error']): readonly Finding[] {
  const { code, message, hint, problems, place, alteration, database, exitCode } = error;
  const common = {
    level: 'error',
    rule: code,
    title: `alteration ${command ?? ''}`.trimEnd().concat(` failed, exit code ${exitCode}`),
  } as const;
  if (problems.length > 0) {
    return problems.map((problem) => ({ ...common, ...placeOf(problem), message: problem.message }));
  }
  const told = [message, database?.detail, database?.hint, hint].filter(Boolean).join('\n');
  return [{ ...common, ...placeOf({ file: alteration, ...place }), message: told }];
}

function findInDeploy({
  dryRun,
  planned,
  applied,
  accepted,
  missing,
}: ReportOf<'deploy'>): readonly Finding[] {
  const late = [...planned, ...applied].filter((step) => step.late);
  return [
    ...late.map(({ file }) => lateFinding(file, dryRun ? 'would be applied' : 'was applied')),
    ...accepted.map((file) => editedFinding(file, 'warning')),
    ...missing.map(missingFinding),
  ];
}

function findInCheck(
  { result, pending, edited, missing, reverting, target }: CheckReport,
  exitCode: number,
): readonly Finding[] {
  const late = pending.filter((step) => step.late);
  const breaksOrder = result === 'integrity' && edited.length === 0 && reverting.length === 0;
  const summary: Finding = {
    level: 'error',
    rule: 'pending',
    title: `alteration check: exit code ${exitCode}`,
    message: `${countOf(pending.length)} ${isOrAre(pending.length)} pending to reach ${target}: ${nameFew(pending)}.`,
  };
  return [
    ...edited.map((file) => editedFinding(file, 'error')),
    ...reverting.map(
      (row): Finding => ({
        level: 'error',
        rule: 'half-rolled-back',
        title: 'Half rolled back',
        message: `${nameOf(row)} is half rolled back. Run the rollback again; it goes on from there.`,
      }),
    ),
    ...late.map(({ file }) => lateFinding(file, 'is pending', breaksOrder ? 'error' : 'warning')),
    ...(result === 'pending' ? [summary] : []),
    ...missing.map(missingFinding),
  ];
}

const mostNamed = 10;

function nameFew(pending: CheckReport['pending']): string {
  const names = pending.slice(0, mostNamed).map(({ file }) => file);
  const rest = pending.length - names.length;
  return `${names.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

/** A problem of the folder as a whole has no file that could be opened. */
function findInFolder({ rule, file, line, column, message }: FolderProblem): Finding {
  const place = file === '.' ? {} : placeOf({ file, line, column });
  return { level: 'error', rule, title: `alteration check: ${rule}`, message, ...place };
}

function findInList({ alterations }: ReportOf<'list'>): readonly Finding[] {
  return alterations.flatMap((one): readonly Finding[] => {
    if (one.state === 'missing') return [missingFinding(one)];
    if (one.state === 'late' && one.file) return [lateFinding(one.file, 'is pending')];
    return one.state === 'edited' && one.file ? [editedFinding(one.file, 'warning')] : [];
  });
}

function findInStatus({ counts }: ReportOf<'status'>): readonly Finding[] {
  return (['late', 'missing', 'edited'] as const)
    .filter((state) => counts[state] > 0)
    .map((state) => ({
      level: 'warning',
      rule: state,
      title: `Alterations are ${state}`,
      message: `${countOf(counts[state])} ${isOrAre(counts[state])} ${state}; alteration list names them.`,
    }));
}

function lateFinding(file: string, what: string, level: Finding['level'] = 'warning'): Finding {
  return {
    level,
    rule: 'late',
    title: 'Late alteration',
    message: `"${file}" ${what}, and is ordered before one that was applied earlier.`,
    file,
  };
}

function editedFinding(file: string, level: Finding['level']): Finding {
  const remedy = level === 'error' ? ' Restore it, and put the change into a new alteration.' : '';
  const message = `"${file}" was edited after it was applied.${remedy}`;
  return { level, rule: 'edited', title: 'Edited alteration', message, file };
}

function missingFinding(row: { id: string; version: string; name: string }): Finding {
  return {
    level: 'warning',
    rule: 'missing',
    title: 'Missing alteration',
    message: `${nameOf(row)} is applied, and its file is missing.`,
  };
}

function nameOf({ id, version, name }: { id: string; version: string; name: string }): string {
  return `${renderVersionInFileName(version)}-${id}-${name}`;
}

function placeOf({
  file,
  line,
  column,
}: { readonly [N in 'file' | 'line' | 'column']?: Finding[N] | undefined }) {
  return {
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
    ...(column === undefined ? {} : { column }),
  };
}
