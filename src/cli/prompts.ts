import { StoppedError, UsageError } from '../core/errors.ts';
import type { RollbackReport } from '../operations/reports.ts';
import type { Host } from './host.ts';
import { countOf, renderPlanned } from './render-reports.ts';
import type { CommandContext } from './run-command.ts';

/** Lets the user choose how far to go: latest first, then the versions that have pending alterations. */
export async function selectTarget(host: Host, pendingVersions: readonly string[]): Promise<string> {
  const versions = [...new Set(pendingVersions)].filter((version) => version !== 'next').reverse();
  const counts = (upTo: string) => pendingVersions.lastIndexOf(upTo) + 1;
  const released = pendingVersions.filter((version) => version !== 'next').length;
  if (pendingVersions.length === 0) return 'latest';
  const { select } = await import('@inquirer/prompts');
  return asked(host, (context) =>
    select(
      {
        message: 'Deploy up to which version?',
        choices: [
          { value: 'latest', name: `latest  ${countOf(released)}` },
          ...versions.map((version) => ({ value: version, name: `${version}  ${countOf(counts(version))}` })),
          ...(released < pendingVersions.length
            ? [{ value: 'next', name: `next  ${countOf(pendingVersions.length)}` }]
            : []),
        ],
      },
      context,
    ),
  );
}

/** Asks before a rollback: on a terminal the user, elsewhere `--yes` must have been said. */
export function confirmRollback({ host, settings, progress }: CommandContext) {
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
    const message = `Roll back ${countOf(planned.length)}?`;
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
