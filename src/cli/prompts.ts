import { StoppedError, UsageError } from '../core/errors.ts';
import type { RollbackReport } from '../operations/reports.ts';
import type { CommandContext } from './command-context.ts';
import type { Host } from './host.ts';
import { renderPlanned } from './render-reports.ts';
import { countOf } from './report-words.ts';

/** Lets the user choose how far to go: latest first, then the versions that have pending alterations. */
export async function selectTarget(host: Host, pendingVersions: readonly string[]): Promise<string> {
  const versions = [...new Set(pendingVersions)].filter((version) => version !== 'next').reverse();
  const counts = (upTo: string) => pendingVersions.lastIndexOf(upTo) + 1;
  const released = pendingVersions.filter((version) => version !== 'next').length;
  if (pendingVersions.length === 0) return 'latest';
  const { select } = await import('@inquirer/prompts');
  const choices = [
    { value: 'latest', count: released },
    ...versions.map((value) => ({ value, count: counts(value) })),
    ...(released < pendingVersions.length ? [{ value: 'next', count: pendingVersions.length }] : []),
  ];
  const width = Math.max(...choices.map(({ value }) => value.length));
  return asked(host, (context) =>
    select(
      {
        message: 'Deploy up to which version?',
        pageSize: 15,
        loop: false,
        choices: choices.map(({ value, count }) => ({
          value,
          name: `${value.padEnd(width)}  ${countOf(count)}`,
          short: value,
        })),
      },
      context,
    ),
  );
}

/** Asks before a rollback: on a terminal the user, elsewhere `--yes` must have been said. */
export function confirmRollback({ host, settings, progress, argument }: CommandContext) {
  return async (planned: RollbackReport['planned']): Promise<boolean> => {
    if (settings.yes) return true;
    if (!host.terminal) {
      throw new UsageError(`Rolling back ${countOf(planned.length)} needs --yes where nobody can be asked.`, {
        hint: 'Nothing was changed. Look at it with --dry-run first.',
      });
    }
    progress.end();
    host.stderr.write(`${renderPlanned(planned)}\n`);
    const { confirm } = await import('@inquirer/prompts');
    const message = `Roll back ${planned.length === 1 ? 'this alteration' : `these ${planned.length} alterations`} to reach ${argument}?`;
    return asked(host, (context) => confirm({ message, default: false }, context));
  };
}

type PromptContext = NonNullable<Host['terminal']> & { readonly signal: AbortSignal };

/** Ctrl-C at a prompt is a stop like any other. */
async function asked<T>(
  { terminal, stop }: Host,
  prompt: (context: PromptContext) => Promise<T>,
): Promise<T> {
  if (!terminal) throw new UsageError('There is no terminal to ask on.');
  try {
    return await prompt({ ...terminal, signal: stop });
  } catch (error) {
    if (stop.aborted) throw stop.reason;
    if (error instanceof Error && error.name === 'ExitPromptError')
      throw new StoppedError('SIGINT', 'Nothing was changed.');
    throw error;
  }
}
