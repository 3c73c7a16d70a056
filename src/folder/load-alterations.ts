import { join } from 'node:path';
import type { Alteration } from '../core/alteration.ts';
import { AlterationError, type Problem, UnusableAlterationError } from '../core/errors.ts';
import { once } from '../core/once.ts';
import { orAborted } from '../core/or-aborted.ts';
import { type AlterationScript, parseScript } from './alteration-script.ts';
import { type Checksum, type Checksums, checksumSql, openChecksums, readAlterationFile } from './checksum.ts';
import { excerptAt } from './excerpt.ts';
import { importModule } from './import-module.ts';
import { createPause } from './in-slices.ts';
import { parseSqlScript, type SqlScript } from './split-sql.ts';
import { loadSqlParser, type ParseSql } from './sql-parser.ts';
import { findPlace } from './stack-place.ts';

/** An alteration that is ready to run. */
export type LoadedAlteration = LoadedModule | LoadedSql;

export interface LoadedModule extends Checksum {
  readonly kind: 'module';
  readonly alteration: Alteration;
  readonly script: AlterationScript;
  /** Absent: the run's. */
  readonly lockTimeoutMs?: number;
}

export interface LoadedSql extends Checksum {
  readonly kind: 'sql';
  readonly alteration: Alteration;
  readonly up: SqlScript;
  readonly down?: SqlScript;
}

export interface LoadSignals {
  /** When aborted, no further alteration is loaded, and the signal's reason is thrown. */
  readonly stop?: AbortSignal | undefined;
  /** When aborted, also the module under way fails with the signal's reason. */
  readonly abandon?: AbortSignal | undefined;
}

/**
 * Loads and checks alterations, without running them. Throws an UnusableAlterationError with every problem of all.
 */
export async function loadAlterations(
  folder: string,
  alterations: readonly Alteration[],
  { stop, abandon }: LoadSignals = {},
): Promise<readonly LoadedAlteration[]> {
  const tools = { checksums: openChecksums(folder), loadParser: once(loadSqlParser) };
  const loaded: LoadedAlteration[] = [];
  const failures: UnusableAlterationError[] = [];
  const pause = createPause();
  for (const alteration of alterations) {
    await pause();
    stop?.throwIfAborted();
    try {
      loaded.push(await loadAlteration(folder, alteration, tools, abandon));
    } catch (error) {
      if (!(error instanceof UnusableAlterationError)) throw error;
      failures.push(error);
      if (abandon?.aborted) break;
    }
  }
  if (failures.length > 0) throw joinFailures(failures);
  return loaded;
}

/** What the loading of many has in common. */
interface Tools {
  readonly checksums: Checksums;
  readonly loadParser: () => Promise<ParseSql>;
}

function loadAlteration(
  folder: string,
  alteration: Alteration,
  tools: Tools,
  abandon: AbortSignal | undefined,
): Promise<LoadedAlteration> {
  return alteration.format === 'sql'
    ? loadSql(folder, alteration, tools)
    : loadModule(folder, alteration, tools, abandon);
}

async function loadSql(folder: string, alteration: Alteration, { loadParser }: Tools): Promise<LoadedSql> {
  const { file, downFile } = alteration;
  const text = readAlterationFile(join(folder, file), file);
  const up = await parseSqlScript(text, file, loadParser);
  const checksum = checksumSql(text);
  if (!downFile) return { kind: 'sql', alteration, checksum, up };
  const down = await parseSqlScript(
    readAlterationFile(join(folder, downFile), downFile),
    downFile,
    loadParser,
  );
  return { kind: 'sql', alteration, checksum, up, down };
}

async function loadModule(
  folder: string,
  alteration: Alteration,
  { checksums }: Tools,
  abandon: AbortSignal | undefined,
): Promise<LoadedModule> {
  const { file } = alteration;
  const known = await checksums.of(alteration); // parses: a syntax error is told with its place
  const path = join(folder, file);
  const exported = await orAborted(importModule(path, known.checksum), [abandon]).catch(
    async (error: unknown) => {
      throw error instanceof AlterationError ? error : await describeImportFailure(error, folder, file);
    },
  );
  const parsed = parseScript(exported.default, exported.named);
  if ('script' in parsed) return { kind: 'module', alteration, ...known, ...parsed };
  throw unusable({ file, message: `"${file}" ${parsed.reason}.` });
}

async function describeImportFailure(error: unknown, folder: string, file: string) {
  const [firstLine = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
  const message = `"${file}" cannot be loaded: ${firstLine.replace(/\.$/, '')}.`;
  const place = findPlace(error, folder);
  if (!place) return unusable({ file, message }, error);
  const text = readAlterationFile(join(folder, place.file), place.file);
  return unusable({ ...place, message, excerpt: excerptAt(text, place.line, place.column) }, error);
}

function unusable(problem: Problem, cause?: unknown): UnusableAlterationError {
  return new UnusableAlterationError(problem.message, {
    problems: [problem],
    ...(cause === undefined ? {} : { cause }),
  });
}

function joinFailures(failures: readonly UnusableAlterationError[]): UnusableAlterationError {
  const problems = failures.flatMap(({ problems: own, message }) => (own.length > 0 ? own : [{ message }]));
  const [first] = failures;
  const only = problems.length === 1 ? first : undefined;
  return new UnusableAlterationError(only?.message ?? `${problems.length} problems in the alterations.`, {
    problems,
    hint: ['Nothing was run.', only?.hint].filter(Boolean).join(' '),
    cause: first?.cause,
  });
}
