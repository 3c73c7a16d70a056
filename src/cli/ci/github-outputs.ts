import type { Ending } from '../ending.ts';

/** What later steps of a workflow can read. */
export interface StepOutputs {
  /** Alterations that this run applied. */
  readonly applied?: string;
  /** Alterations that this run took back. */
  readonly 'rolled-back'?: string;
  /** Alterations that a dry run would apply or take back. */
  readonly planned?: string;
  /** Alterations that are not applied now; empty where that was not looked at. */
  readonly pending?: string;
  /** The database's version; empty where it has none, or where it is not known. */
  readonly version?: string;
  readonly 'exit-code': string;
}

const nothing = { applied: '0', 'rolled-back': '0', planned: '0', pending: '', version: '' } as const;

/** The outputs of a command, of a failed one as far as it came; of a defect nobody knows what it had done. */
export function describeOutputs({ document, exitCode }: Pick<Ending, 'document' | 'exitCode'>): StepOutputs {
  const isUnknown = 'error' in document && document.error.code === 'defect';
  const known = isUnknown ? {} : { ...nothing, ...knownOutputs(document) };
  return { ...known, 'exit-code': String(exitCode) };
}

function knownOutputs(document: Ending['document']): Partial<StepOutputs> {
  if ('error' in document) return outputsOfFailure(document.error.progress);
  switch (document.command) {
    case 'deploy': {
      const { applied, planned, pending, version } = document;
      // A dry run counts what it would apply as no longer pending; it is pending still.
      return {
        ...counts({ applied, planned }),
        pending: String(pending + planned.length),
        version: version ?? '',
      };
    }
    case 'rollback': {
      const { rolledBack, planned, version } = document;
      return { ...counts({ 'rolled-back': rolledBack, planned }), version: version ?? '' };
    }
    case 'check':
      if ('mode' in document) return {};
      return { ...counts({ pending: document.pending }), version: document.version ?? '' };
    case 'list': {
      const pending = document.alterations.filter(({ state }) => state === 'pending' || state === 'late');
      return { ...counts({ pending }), version: document.version ?? '' };
    }
    case 'status':
      return {
        pending: String(document.counts.pending + document.counts.late),
        version: document.version ?? '',
      };
    case 'baseline':
      return { version: document.version ?? '' };
    default:
      return {};
  }
}

type Progress = Extract<Ending['document'], { error: unknown }>['error']['progress'];

function outputsOfFailure(progress: Progress): Partial<StepOutputs> {
  if (!progress) return {};
  const { direction, done, remaining } = progress;
  return direction === 'up' ? counts({ applied: done, pending: remaining }) : counts({ 'rolled-back': done });
}

function counts(
  lists: Partial<Readonly<Record<keyof StepOutputs, readonly unknown[]>>>,
): Partial<StepOutputs> {
  return Object.fromEntries(Object.entries(lists).map(([name, list]) => [name, String(list.length)]));
}

/** Lines for the file that GITHUB_OUTPUT names; a value with line breaks stands between two lines of the delimiter. */
export function renderOutputs(outputs: Readonly<Record<string, string>>, delimiter: string): string {
  return Object.entries(outputs)
    .map(([name, value]) =>
      /[\r\n]/.test(value) ? `${name}<<${delimiter}\n${value}\n${delimiter}\n` : `${name}=${value}\n`,
    )
    .join('');
}
