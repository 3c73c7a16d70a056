import {
  AlterationError,
  AlterationFailedError,
  AlterationHalfDoneError,
  type Blocker,
  type DatabaseFailure,
  HistoryBlockedError,
  LockHeldError,
  type Problem,
  StoppedError,
} from '../core/errors.ts';
import { excerptAt, placeAt } from '../folder/excerpt.ts';
import { type ErrorReport, reportVersion } from '../operations/reports.ts';
import { exitCodeOf } from './exit-code.ts';
import type { Palette } from './palette.ts';
import { countOf, isOrAre, renderBlocker } from './report-words.ts';

/** The document that stands on stdout for a failure. */
export function describeError(error: unknown, command: string | null): ErrorReport {
  const exitCode = exitCodeOf(error);
  if (!(error instanceof AlterationError)) {
    const message = error instanceof Error ? error.message : String(error);
    return {
      schemaVersion: reportVersion,
      command,
      error: { code: 'defect', message, exitCode, problems: [] },
    };
  }
  const { code, message, hint, problems, progress } = error;
  const facts = {
    ...(hint ? { hint } : {}),
    ...(progress
      ? { progress: { ...progress, done: [...progress.done], remaining: [...progress.remaining] } }
      : {}),
    ...describeFacts(error),
  };
  return {
    schemaVersion: reportVersion,
    command,
    error: { code, message, exitCode, problems: problems.map((problem) => ({ ...problem })), ...facts },
  };
}

function describeFacts(error: AlterationError): Partial<ErrorReport['error']> {
  if (error instanceof LockHeldError) return error.holder ? { holder: error.holder } : {};
  if (error instanceof HistoryBlockedError) return { blockers: [...error.blockers] };
  if (!(error instanceof AlterationFailedError || error instanceof AlterationHalfDoneError)) return {};
  const { alteration, phase, place, database, blockers } = error;
  const statements = error instanceof AlterationHalfDoneError ? error.statements : undefined;
  return {
    alteration,
    phase,
    ...(place ? { place: { ...place } } : {}),
    ...(database ? { database: { ...database } } : {}),
    ...(statements ? { statements: { ...statements } } : {}),
    ...(blockers.length > 0 ? { blockers: [...blockers] } : {}),
  };
}

/** What a person reads of a failure: what, where, why, what is done and what is not, and what to do. */
export function renderError(error: unknown, folder: string, palette: Palette): string {
  if (!(error instanceof AlterationError)) return renderDefect(error, palette);
  const parts = [
    `${palette.bad('✖')} ${palette.strong(error.message)}`,
    renderProblems(error, folder, palette),
    ...renderFailure(error, folder, palette),
    [error.hint, renderProgress(error)].filter(Boolean).join('\n'),
  ];
  return parts
    .filter(Boolean)
    .join('\n\n')
    .replaceAll(/\n{3,}/g, '\n\n');
}

function renderDefect(error: unknown, palette: Palette): string {
  const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `${palette.bad('✖')} ${palette.strong('This is a defect of the alteration runner; please report it with what follows.')}\n\n${trace}`;
}

function renderProblems({ problems, message }: AlterationError, folder: string, palette: Palette): string {
  const gap = problems.some(({ excerpt }) => excerpt) ? '\n\n' : '\n';
  return problems.map((problem) => renderProblem(problem, message, folder, palette)).join(gap);
}

function renderProblem(problem: Problem, title: string, folder: string, palette: Palette): string {
  const where = problem.line === undefined ? '' : renderPlace(problem, folder, palette);
  const message = problem.message === title ? '' : `  ${problem.message}`;
  const excerpt = problem.excerpt ? indent(problem.excerpt) : '';
  return [message, where, excerpt].filter(Boolean).join('\n');
}

function renderFailure(error: AlterationError, folder: string, palette: Palette): readonly string[] {
  if (error instanceof HistoryBlockedError) return [renderBlockers(error.blockers, palette)];
  if (!(error instanceof AlterationFailedError || error instanceof AlterationHalfDoneError)) return [];
  const { place, database, blockers } = error;
  return [
    place ? renderPlace(place, folder, palette) + (place.excerpt ? `\n${indent(place.excerpt)}` : '') : '',
    database ? renderDatabaseFailure(database, place?.file.endsWith('.sql') ?? false, palette) : '',
    renderBlockers(blockers, palette),
  ];
}

function renderBlockers(blockers: readonly Blocker[], palette: Palette): string {
  if (blockers.length === 0) return '';
  return `  ${palette.quiet('Blocked by')}\n${blockers.map((blocker) => `    ${renderBlocker(blocker)}`).join('\n')}`;
}

function renderDatabaseFailure(failure: DatabaseFailure, inSqlFile: boolean, palette: Palette): string {
  const { sqlState, detail, hint, statement, position } = failure;
  const shown = !inSqlFile && statement ? renderStatement(statement, position) : '';
  const rows = [
    ['Code', sqlState],
    ['Detail', detail],
    ['Hint', hint],
  ].flatMap(([label = '', value]) => (value ? [`  ${palette.quiet(label.padEnd(8))}${value}`] : []));
  return [shown, rows.join('\n')].filter(Boolean).join('\n\n');
}

/** A statement that a script sent: around the position that PostgreSQL gave, or its beginning. */
function renderStatement(statement: string, position: number | undefined): string {
  if (position === undefined) {
    const lines = statement
      .replace(/^\s*\n/, '')
      .trimEnd()
      .split('\n');
    return indent(lines.length > 12 ? [...lines.slice(0, 12), '…'].join('\n') : lines.join('\n'));
  }
  const { line, column } = placeAt(statement, [...statement].slice(0, position - 1).join('').length);
  return indent(excerptAt(statement, line, column));
}

function renderPlace({ file, line, column }: Partial<Problem>, folder: string, palette: Palette): string {
  const position = [line, column].filter((part) => part !== undefined).join(':');
  return `  ${palette.quiet('at')} ${folder}/${file}${position ? `:${position}` : ''}`;
}

function renderProgress(error: AlterationError): string {
  if (!error.progress) return '';
  const { direction, done, remaining } = error.progress;
  const verb = direction === 'up' ? 'applied' : 'rolled back';
  if (error instanceof StoppedError) {
    return `${countOf(done.length)} ${isOrAre(done.length)} ${verb}, ${remaining.length} ${isOrAre(remaining.length)} not.`;
  }
  // One that shares its transaction with others is not the first that is not applied.
  if (error instanceof AlterationFailedError && remaining[0] !== error.alteration)
    return `None of the ${remaining.length} alterations is ${verb}.`;
  const after = remaining.length - 1;
  const before =
    done.length > 0
      ? `${countOf(done.length)} before it ${isOrAre(done.length)} ${verb}`
      : `Nothing was ${verb} before it`;
  return `${before}${after > 0 ? `; ${countOf(after)} after it ${isOrAre(after)} not` : ''}.`;
}

function indent(text: string): string {
  return text
    .split('\n')
    .map((line) => `  ${line}`.trimEnd())
    .join('\n');
}
