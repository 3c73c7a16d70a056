import type { Alteration } from '../core/alteration.ts';
import { type LoadedAlteration, loadAlterations } from '../folder/load-alterations.ts';
import type { Snapshot } from './snapshot.ts';

/** Loads alterations in a way that notices a module that never comes to its end, and waits for nothing. */
export async function loadScripts(
  { folder, session }: Pick<Snapshot, 'folder' | 'session'>,
  alterations: readonly Alteration[],
  abandon: AbortSignal | undefined,
): Promise<readonly LoadedAlteration[]> {
  session.holdProcess(false);
  try {
    return await loadAlterations(folder, alterations, abandon);
  } finally {
    session.holdProcess(true);
  }
}
