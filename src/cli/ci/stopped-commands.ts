import type { OutputStream } from '../host.ts';
import type { Progress } from '../progress.ts';

/**
 * Has GitHub's runner take no line of the log for a command until the progress ends: what scripts print meanwhile,
 * maybe rows of the database, goes to the log as it is. Only who knows the token can end that.
 */
export function withCommandsStopped(progress: Progress, stream: OutputStream, token: string): Progress {
  let stopped = true;
  stream.write(`::stop-commands::${token}\n`);
  return {
    ...progress,
    end: () => {
      progress.end();
      if (stopped) stream.write(`::${token}::\n`);
      stopped = false;
    },
  };
}
