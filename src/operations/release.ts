import { UsageError } from '../core/errors.ts';
import {
  compareVersions,
  next,
  parseReleasedVersion,
  renderVersionInFileName,
  type Version,
} from '../core/version.ts';
import { listAlterations } from '../folder/list-alterations.ts';
import { renameFiles } from '../folder/rename-files.ts';
import { type DatabaseOptions, folderOf } from './options.ts';
import { type ReleaseReport, reportVersion } from './reports.ts';

export interface ReleaseOptions extends Pick<DatabaseOptions, 'folder'> {
  /** The version that the `next` alterations ship with. */
  readonly version: string;
  /** Tells what would be renamed and renames nothing. */
  readonly dryRun?: boolean;
  /** Takes a version lower than one that has alterations already: a hotfix line. */
  readonly allowLower?: boolean;
}

/** Renames every `next` alteration to a version. Throws a UsageError or a FolderError, with nothing renamed. */
export async function release(options: ReleaseOptions): Promise<ReleaseReport> {
  const version = parseVersion(options.version);
  const folder = folderOf(options);
  const alterations = await listAlterations(folder);
  const highest = alterations.findLast((alteration) => alteration.version !== next)?.version;
  if (highest && !options.allowLower && compareVersions(version, highest) < 0) throw tooLow(version, highest);
  const prefix = `${renderVersionInFileName(version)}-`;
  const renamed = alterations
    .filter((alteration) => alteration.version === next)
    .flatMap(({ file, downFile }) => (downFile ? [file, downFile] : [file]))
    .map((from) => ({ from, to: from.replace(/^next-/, prefix) }));
  if (!options.dryRun) await renameFiles(folder, renamed);
  return {
    schemaVersion: reportVersion,
    command: 'release',
    dryRun: options.dryRun ?? false,
    version,
    renamed,
  };
}

function parseVersion(text: string): Version {
  const version = parseReleasedVersion(text.replaceAll('_', '-'));
  if (version) return version;
  throw new UsageError(`"${text}" is not a version.`, {
    hint: 'A version is semver such as 1.5.0 or 1.5.0-beta.1.',
  });
}

function tooLow(version: Version, highest: Version): UsageError {
  return new UsageError(`${version} is lower than ${highest}, which has alterations already.`, {
    hint: 'No file was renamed. Choose a higher version, or say --allow-lower for a hotfix line.',
  });
}
