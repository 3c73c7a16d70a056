import type { Alteration } from '../core/alteration.ts';
import {
  EditedError,
  HistoryError,
  type Problem,
  StrictOrderError,
  UnusableAlterationError,
  UsageError,
} from '../core/errors.ts';
import type { History } from '../core/history.ts';
import type { DeployPlan } from '../core/plan.ts';
import { type Checksum, type Checksums, openChecksums } from '../folder/checksum.ts';
import { type Fingerprints, readFingerprints } from '../folder/fingerprints.ts';
import { createPause } from '../folder/in-slices.ts';
import type { LoadedAlteration } from '../folder/load-alterations.ts';
import type { SqlScript } from '../folder/split-sql.ts';
import type { Session } from '../postgres/session.ts';

/** An applied alteration whose file is no longer what was applied. */
export interface Edited extends Partial<Checksum> {
  readonly alteration: Alteration;
}

/** The files of a folder, as they are compared with the history: begins to read them. */
export interface FolderReading {
  readonly checksums: Checksums;
  readonly fingerprints: Fingerprints;
}

/** Begins to read the files that may have to be compared, before the history tells which ones. */
export function readFolder(folder: string, ahead: readonly Alteration[] = []): FolderReading {
  const checksums = openChecksums(folder);
  return { checksums, fingerprints: readFingerprints(folder, checksums, ahead) };
}

/** Compares every applied alteration that has a file with its recorded checksum. */
export async function findEdited(
  { checksums, fingerprints }: FolderReading,
  alterations: readonly Alteration[],
  history: History,
): Promise<readonly Edited[]> {
  const rows = new Map(history.filter(({ state }) => state === 'applied').map((row) => [row.id, row]));
  const applied = alterations.filter(({ id }) => rows.has(id));
  await fingerprints.read(applied);
  const edited: Edited[] = [];
  const pause = createPause();
  for (const alteration of applied) {
    const row = rows.get(alteration.id);
    if (row === undefined || fingerprints.matches(alteration, row)) continue;
    await pause();
    const now = await readChecksum(checksums, alteration);
    if (now?.checksum !== row.checksum) edited.push({ alteration, ...now });
  }
  return edited;
}

/** Throws an EditedError that names every edited file. */
export function refuseEdited(edited: readonly Edited[]): void {
  if (edited.length === 0) return;
  const [first] = edited;
  const message =
    edited.length === 1 && first
      ? `"${first.alteration.file}" was edited after it was applied.`
      : `${edited.length} alterations were edited after they were applied.`;
  throw new EditedError(message, {
    problems: edited.map(({ alteration: { file } }) => ({
      file,
      message: `"${file}" was edited after it was applied.`,
    })),
    hint: 'Nothing was changed. Restore the file and put the change into a new alteration; or, if the edit changes nothing that matters, accept it with --allow-edited.',
  });
}

/** Throws a HistoryError where a rollback stopped half-way outside a transaction. */
export function refuseReverting({ reverting }: DeployPlan): void {
  if (reverting.length === 0) return;
  throw new HistoryError('A rollback outside a transaction stopped half-way.', {
    problems: reverting.map(({ id, version, name }) => ({
      message: `"${name}" (${version}, ${id}) is half rolled back.`,
    })),
    hint: 'Nothing was changed. Run the rollback again: it goes on where it stopped. Then deploy.',
  });
}

/** Throws a StrictOrderError that names every late alteration. */
export function refuseLate(plan: DeployPlan): void {
  const late = plan.steps.filter((step) => step.late).map(({ alteration: { file } }) => file);
  if (late.length === 0) return;
  throw new StrictOrderError(
    `${late.length === 1 ? `"${late[0]}" is` : `${late.length} alterations are`} ordered before what is already applied.`,
    {
      problems: late.map((file) => ({ file, message: `"${file}" is late.` })),
      hint: 'Nothing was changed. Give it a later timestamp, or deploy without --strict-order.',
    },
  );
}

/** Throws a UsageError: there every transaction may get another session, and has its own settings and lock. */
export function refusePooler({ database }: Pick<Session, 'database'>): void {
  if (database.pooler !== 'transaction') return;
  throw new UsageError('Alterations cannot be applied in one transaction behind a transaction pooler.', {
    hint: 'Nothing was changed. Give a direct connection to the server with --direct-url (DIRECT_DB_URL), or deploy without --atomic.',
  });
}

/** Throws a UsageError that names all that cannot be part of one transaction. */
export function refuseNonTransactional(loaded: readonly LoadedAlteration[]): void {
  const problems = loaded.flatMap((one): readonly Problem[] => {
    const { file } = one.alteration;
    const reason =
      one.kind === 'sql'
        ? whyAlone(one.up)
        : one.script.beforeUp && 'has a beforeUp, which runs before any transaction';
    return reason ? [{ file, message: `"${file}" ${reason}.` }] : [];
  });
  if (problems.length === 0) return;
  throw new UsageError('Not all that is pending can be applied in one transaction.', {
    problems,
    hint: 'Nothing was run. Deploy without --atomic, or with --atomic up to a version before these.',
  });
}

function whyAlone({ mode, statements }: SqlScript): string | undefined {
  if (mode !== 'transaction') return 'says that it runs without a transaction';
  return statements.some(({ kind }) => kind === 'ConstraintsSetStmt')
    ? 'sets constraints, which would hold for those behind it too'
    : undefined;
}

/** Undefined when the file can no longer be read. */
async function readChecksum(checksums: Checksums, alteration: Alteration): Promise<Checksum | undefined> {
  try {
    return await checksums.of(alteration);
  } catch (error) {
    if (error instanceof UnusableAlterationError) return undefined;
    throw error;
  }
}
