import { stripVTControlCharacters } from 'node:util';
import type { OutputKind } from './ci/output-kind.ts';
import type { Ending } from './ending.ts';
import { hidePasswords, hidePasswordsIn } from './hide-passwords.ts';
import type { Host } from './host.ts';
import { renderEnding } from './summarise.ts';
import { writeTerminationLog } from './termination-log.ts';

/** Tells how a command ended to those who do not read its log: Kubernetes, and the pipeline that it runs in. */
export async function conclude(
  given: Ending,
  host: Host,
  { output, dir }: { readonly output: OutputKind; readonly dir: string },
): Promise<void> {
  const ending = {
    ...given,
    document: hidePasswordsIn(given.document),
    text: hidePasswords(stripVTControlCharacters(given.text)),
  };
  writeTerminationLog(host.terminationLog, hidePasswords(renderEnding(ending)));
  if (output === 'github') {
    const { concludeGithub } = await import('./ci/conclude-github.ts');
    await concludeGithub(ending, host, dir);
  }
  if (output === 'gitlab') {
    const { concludeGitlab } = await import('./ci/conclude-gitlab.ts');
    await concludeGitlab(ending, host, dir);
  }
}
