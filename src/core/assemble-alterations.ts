import { type Alteration, compareAlterations } from './alteration.ts';
import { FolderError, type Problem } from './errors.ts';
import { parseFileName } from './file-name.ts';
import { compareVersions } from './version.ts';

interface Part {
  readonly part: 'whole' | 'up' | 'down';
  readonly alteration: Alteration;
}

/**
 * Turns the file names of a folder into its alterations, in order.
 * Throws a FolderError that names every malformed name, double timestamp and half pair at once.
 */
export function assembleAlterations(files: readonly string[], folder: string): readonly Alteration[] {
  const { alterations, problems } = examineNames(files);
  if (problems.length > 0) throw folderError(folder, problems);
  return alterations;
}

interface Examined {
  readonly alterations: readonly Alteration[];
  readonly problems: readonly Problem[];
}

/** The alterations among the file names, in order, and everything that keeps others from being one. */
export function examineNames(files: readonly string[]): Examined {
  const examined = examine(files);
  // The order in which a folder lists its files matters to nothing but the problems.
  return examined.problems.length === 0 ? examined : examine(files.toSorted());
}

function examine(files: readonly string[]): Examined {
  const problems: Problem[] = [];
  const parts = new Map<string, Part[]>();
  for (const file of files) {
    const parsed = parseFileName(file);
    if (parsed.kind === 'malformed') problems.push({ file, message: `"${file}" ${parsed.reason}.` });
    if (parsed.kind !== 'alteration') continue;
    const sameId = parts.get(parsed.alteration.id);
    if (sameId) sameId.push(parsed);
    else parts.set(parsed.alteration.id, [parsed]);
  }
  const alterations: Alteration[] = [];
  for (const [id, group] of parts) {
    const joined = joinParts(id, group);
    if ('message' in joined) problems.push(joined);
    else alterations.push(joined);
  }
  return { alterations: inOrder(alterations), problems };
}

/** As `compareAlterations` has it: of thousands of alterations there are some dozens of versions, which are compared once. */
function inOrder(alterations: readonly Alteration[]): readonly Alteration[] {
  const versions = [...new Set(alterations.map(({ version }) => version))].sort(compareVersions);
  const byVersion = new Map(versions.map((version): [string, Alteration[]] => [version, []]));
  for (const alteration of alterations) byVersion.get(alteration.version)?.push(alteration);
  return [...byVersion.values()].flatMap((same) => same.sort(compareAlterations));
}

function joinParts(id: string, parts: readonly Part[]): Alteration | Problem {
  const [first, second] = parts;
  if (!first) return { message: `No file has the timestamp ${id}.` };
  if (!second) return first.part === 'down' ? missingUp(first.alteration) : first.alteration;
  const up = parts.find(({ part }) => part === 'up')?.alteration;
  const down = parts.find(({ part }) => part === 'down')?.alteration;
  if (parts.length > 2 || !up || !down) return doubleTimestamp(id, parts);
  return sameNamed(parts) ? { ...up, downFile: down.file } : unequalPair(up, down);
}

function missingUp(down: Alteration): Problem {
  return { file: down.file, message: `"${down.file}" has no .up.sql beside it; add it, or remove this one.` };
}

function unequalPair(up: Alteration, down: Alteration): Problem {
  const message = `"${up.file}" and "${down.file}" have the timestamp ${up.id}, and differ in version or name; a pair has both in common.`;
  return { file: up.file, message };
}

function doubleTimestamp(id: string, parts: readonly Part[]): Problem {
  const names = parts.map(({ alteration }) => `"${alteration.file}"`);
  const [last] = names.slice(-1);
  const files = `${names.slice(0, -1).join(', ')} and ${last}`;
  const message = sameNamed(parts)
    ? `${files} are the same alteration; keep one of them, or an .up.sql with its .down.sql.`
    : `${files} have the timestamp ${id}, which is the identity of one alteration; give each its own.`;
  return { file: parts[0]?.alteration.file ?? '', message };
}

function sameNamed([first, ...others]: readonly Part[]): boolean {
  return others.every(
    ({ alteration: { version, name } }) =>
      version === first?.alteration.version && name === first.alteration.name,
  );
}

function folderError(folder: string, problems: readonly Problem[]): FolderError {
  const [only] = problems;
  const message =
    problems.length === 1 && only
      ? only.message
      : `The file names in "${folder}" have ${problems.length} problems.`;
  return new FolderError(message, {
    problems: problems.length === 1 ? [] : problems,
    hint: `Nothing was run. The alterations folder is "${folder}".`,
  });
}
