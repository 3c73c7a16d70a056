import type { CheckReport, ErrorReport, FolderCheckReport } from '../operations/reports.ts';
import type { Ending, Report } from './ending.ts';
import { atVersion, countOf, isOrAre, summariseStates } from './report-words.ts';

/** How it ended, as one line: `deploy: applied 3 alterations, the database is at 1.4.0`, or `exit 4: …`. */
export function renderEnding({ command, exitCode, document }: Ending): string {
  const line =
    exitCode === 0 ? `${command}: ${summarise(document)}` : `exit ${exitCode}: ${summarise(document)}`;
  return line.replaceAll(/\s+/g, ' ').trim();
}

/** What was done, as a part of a sentence; a failure with its problems, what to do, and what it left done. */
export function summarise(document: Report | ErrorReport): string {
  if ('error' in document) return summariseFailure(document.error);
  switch (document.command) {
    case 'deploy':
      return summariseDeploy(document);
    case 'rollback':
      return summariseRollback(document);
    case 'check':
      return 'mode' in document ? summariseFolderCheck(document) : summariseCheck(document);
    case 'list':
      return summariseStates(document.alterations, document.version).replace(/\.$/, '');
    case 'status': {
      const pending = document.counts.pending + document.counts.late;
      return `the database is ${atVersion(document.version)}, ${countOf(pending)} ${isOrAre(pending)} pending`;
    }
    case 'baseline': {
      const { dryRun, recorded, version } = document;
      if (dryRun) return `would record ${countOf(recorded.length)} as applied`;
      return `recorded ${countOf(recorded.length)} as applied, the database is ${atVersion(version)}`;
    }
    case 'create':
      return `created ${document.files.join(' and ')}`;
    case 'release': {
      const count = `${document.renamed.length} ${document.renamed.length === 1 ? 'file' : 'files'}`;
      return `${document.dryRun ? 'would rename' : 'renamed'} ${count} to ${document.version}`;
    }
  }
}

type ReportOf<C extends Report['command']> = Extract<Report, { command: C }>;

function summariseDeploy({ dryRun, planned, applied, target, version }: ReportOf<'deploy'>): string {
  if (planned.length > 0) return `would apply ${countOf(planned.length)} to reach ${target}`;
  if (applied.length > 0) return `applied ${countOf(applied.length)}, the database is ${atVersion(version)}`;
  return `nothing ${dryRun ? 'would be' : 'was'} to do, the database is ${atVersion(version)}`;
}

function summariseRollback({ planned, rolledBack, target, version }: ReportOf<'rollback'>): string {
  if (planned.length > 0) return `would roll back ${countOf(planned.length)} to reach ${target}`;
  const done =
    rolledBack.length > 0 ? `rolled back ${countOf(rolledBack.length)}` : 'nothing was rolled back';
  return `${done}, the database is ${atVersion(version)}`;
}

function summariseCheck({ result, pending, edited, reverting, target, version }: CheckReport): string {
  if (result === 'up-to-date') return `up to date with ${target}, the database is ${atVersion(version)}`;
  const late = pending.filter((step) => step.late).length;
  const facts = [
    ...(edited.length > 0
      ? [`${countOf(edited.length)} ${wasOrWere(edited.length)} edited after being applied`]
      : []),
    ...(reverting.length > 0
      ? [`${countOf(reverting.length)} ${isOrAre(reverting.length)} half rolled back`]
      : []),
    ...(pending.length > 0
      ? [`${countOf(pending.length)} ${isOrAre(pending.length)} pending to reach ${target}`]
      : []),
    ...(late > 0 ? [`${late} of them late`] : []),
  ];
  return facts.join(', ');
}

function summariseFolderCheck({ alterations, problems }: FolderCheckReport): string {
  const [first] = problems;
  if (!first) return `${countOf(alterations)} checked, nothing to object to`;
  const more = problems.length > 1 ? ` (1 of ${problems.length} problems)` : '';
  return `${first.file}: ${first.message}${more}`;
}

function summariseFailure({ message, hint, problems, progress }: ErrorReport['error']): string {
  const told = problems.map((problem) => problem.message).filter((text) => text !== message);
  const done = progress
    ? [`${countOf(progress.done.length)} ${wasOrWere(progress.done.length)} done before.`]
    : [];
  return [message, ...told, ...(hint ? [hint] : []), ...done].join(' ');
}

function wasOrWere(count: number): string {
  return count === 1 ? 'was' : 'were';
}
