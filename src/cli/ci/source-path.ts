import { realpath } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import type { Host } from '../host.ts';

/** Where the alterations folder is, for a pipeline that knows files by their path in the repository. */
export interface SourceRoot {
  /** Absolute. */
  readonly folder: string;
  /** As the user named it. */
  readonly named: string;
  /** Absolute path of the checkout; undefined where the pipeline tells none. */
  readonly checkout: string | undefined;
}

/** Both without symbolic links, one of which may lie on the way to either. */
export async function findSourceRoot(
  { cwd }: Host,
  named: string,
  checkout: string | undefined,
): Promise<SourceRoot> {
  const real = (path: string) => realpath(path).catch(() => path);
  const folder = await real(resolve(cwd, named));
  return { folder, named, checkout: checkout ? await real(checkout) : undefined };
}

/** The file's path in the checkout, with slashes; for one outside of it, as the user would name it. */
export function renderSourcePath(file: string, { folder, named, checkout }: SourceRoot): string {
  const within = checkout === undefined ? '..' : relative(checkout, resolve(folder, file));
  const outside = within === '..' || within.startsWith(`..${sep}`) || isAbsolute(within);
  return (outside ? join(named, file) : within).split(sep).join('/');
}
