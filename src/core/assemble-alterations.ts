import { type Alteration, compareAlterations } from './alteration.ts';
import { FolderError, type Problem } from './errors.ts';
import { parseFileName } from './file-name.ts';

interface Part {
  readonly part: 'whole' | 'up' | 'down';
  readonly alteration: Alteration;
}

/**
 * Turns the file names of a folder into its alterations, in order.
 * Throws a FolderError that names every malformed name, double timestamp and half pair at once.
 */
export function assembleAlterations(files: readonly string[], folder: string): readonly Alteration[] {
  const problems: Problem[] = [];
  const parts = new Map<string, Part[]>();
  for (const file of [...files].sort()) {
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
  if (problems.length > 0) throw folderError(folder, problems);
  return alterations.sort(compareAlterations);
}

function joinParts(id: string, parts: readonly Part[]): Alteration | Problem {
  const [first, second] = parts;
  if (!first) return { message: `No file has the timestamp ${id}.` };
  if (!second) return first.part === 'down' ? missingUp(first.alteration) : first.alteration;
  const up = parts.find(({ part }) => part === 'up')?.alteration;
  const down = parts.find(({ part }) => part === 'down')?.alteration;
  if (parts.length > 2 || !up || !down) return doubleTimestamp(id, parts);
  if (up.version !== down.version || up.name !== down.name) return doubleTimestamp(id, parts);
  return { ...up, downFile: down.file };
}

function missingUp(down: Alteration): Problem {
  return { file: down.file, message: `"${down.file}" has no .up.sql beside it; add it, or remove this one.` };
}

function doubleTimestamp(id: string, parts: readonly Part[]): Problem {
  const names = parts.map(({ alteration }) => `"${alteration.file}"`);
  const [last] = names.slice(-1);
  const message = `The timestamp ${id} is the identity of one alteration, and it stands in ${names.slice(0, -1).join(', ')} and ${last}; give each its own.`;
  return { file: parts[0]?.alteration.file ?? '', message };
}

function folderError(folder: string, problems: readonly Problem[]): FolderError {
  const [only] = problems;
  const message =
    problems.length === 1 && only
      ? only.message
      : `${problems.length} names in "${folder}" cannot be alterations.`;
  return new FolderError(message, {
    problems: problems.length === 1 ? [] : problems,
    hint: `Nothing was run. Rename the ${problems.length === 1 ? 'file' : 'files'} in "${folder}".`,
  });
}
