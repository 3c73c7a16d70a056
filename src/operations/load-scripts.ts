import type { Alteration } from '../core/alteration.ts';
import { type Problem, UnusableAlterationError } from '../core/errors.ts';
import { type LoadedAlteration, loadAlterations } from '../folder/load-alterations.ts';
import { findSessionState } from '../folder/session-state.ts';
import { placeOf, type SqlScript } from '../folder/split-sql.ts';
import type { RunOptions } from './options.ts';
import type { Snapshot } from './snapshot.ts';

/** Loads alterations in a way that notices a module that never comes to its end, and waits for nothing. */
export async function loadScripts(
  { folder, session }: Pick<Snapshot, 'folder' | 'session'>,
  alterations: readonly Alteration[],
  { stop, abandon }: Pick<RunOptions, 'stop' | 'abandon'>,
): Promise<readonly LoadedAlteration[]> {
  session.holdProcess(false);
  try {
    const loaded = await loadAlterations(folder, alterations, { stop, abandon });
    if (session.database.pooler === 'transaction') refuseSessionState(loaded);
    return loaded;
  } finally {
    session.holdProcess(true);
  }
}

/** Behind a transaction pooler each statement outside a transaction may run on another connection. */
function refuseSessionState(loaded: readonly LoadedAlteration[]): void {
  const problems = loaded.flatMap((one) => {
    if (one.kind === 'module') return [];
    const { file, downFile = file } = one.alteration;
    return [...listProblems(file, one.up), ...(one.down ? listProblems(downFile, one.down) : [])];
  });
  const [first] = problems;
  if (!first) return;
  const message =
    'What a no-transaction file makes of its session does not hold behind a transaction pooler.';
  throw new UnusableAlterationError(message, {
    problems,
    hint: 'Nothing was run. Write names with their schema where search_path is meant, or give a direct connection to the server with --direct-url (DIRECT_DB_URL).',
  });
}

function listProblems(file: string, script: SqlScript): readonly Problem[] {
  if (script.mode === 'transaction') return [];
  return script.statements
    .filter(({ text }) => findSessionState(text) !== undefined)
    .map((statement) => ({
      file,
      ...placeOf(script, statement, 1),
      message: `"${statement.summary}" would hold for this statement alone.`,
    }));
}
