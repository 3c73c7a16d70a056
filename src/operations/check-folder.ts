import { join } from 'node:path';
import type { Alteration } from '../core/alteration.ts';
import { examineNames } from '../core/assemble-alterations.ts';
import { type Problem, UnusableAlterationError } from '../core/errors.ts';
import { parseFileName } from '../core/file-name.ts';
import { findMisplaced } from '../core/order-rule.ts';
import { describeEdit, matchReleased } from '../core/released-rule.ts';
import { readAlterationFile } from '../folder/checksum.ts';
import { findEdits } from '../folder/find-edits.ts';
import { findUnparsed } from '../folder/find-unparsed.ts';
import { type Environment, GitFailure } from '../folder/git.ts';
import { describeGitFailure, type GitHistory, readGitHistory } from '../folder/git-history.ts';
import { listFiles } from '../folder/list-alterations.ts';
import { loadAlterations } from '../folder/load-alterations.ts';
import { parseSqlScript } from '../folder/split-sql.ts';
import { folderOf, type RunOptions } from './options.ts';
import { type FolderCheckReport, type FolderProblem, reportVersion } from './reports.ts';

export interface CheckFolderOptions extends Pick<RunOptions, 'folder' | 'stop' | 'abandon'> {
  /** The environment to run git in, such as `process.env`; a git hook's own variables in it are left out. */
  readonly env: Environment;
}

/**
 * Checks the alterations folder without a database: names, the order of new alterations, released ones against git's
 * history, whether every module loads and every SQL file parses. Reports all problems at once; runs no alteration.
 * Throws a FolderError where the folder cannot be read.
 */
export async function checkFolder(options: CheckFolderOptions): Promise<FolderCheckReport> {
  const folder = folderOf(options);
  const files = await listFiles(folder);
  const { alterations, problems: badNames } = examineNames(files);
  const past = await compareWithPast(folder, files, alterations, options); // before modules are loaded, who may do anything
  const unusable = await findUnusable(folder, alterations, options);
  const problems = tidy([...underRule('name', badNames), ...past.problems, ...unusable]);
  return {
    schemaVersion: reportVersion,
    command: 'check',
    mode: 'ci',
    comparedWith: past.comparedWith,
    notCompared: past.notCompared,
    alterations: alterations.length,
    problems,
    result: problems.length === 0 ? 'passed' : 'failed',
  };
}

type Past = Pick<FolderCheckReport, 'comparedWith' | 'notCompared' | 'problems'>;

async function compareWithPast(
  folder: string,
  files: readonly string[],
  alterations: readonly Alteration[],
  options: CheckFolderOptions,
): Promise<Past> {
  try {
    const history = await readGitHistory(folder, options);
    if (history.kind !== 'known') return describeUnknownPast(history, options.env);
    const { comparedWith, releases, introduced, settled } = history;
    const { kept, problems } = matchReleased(releases, alterations, new Set(listIdentities(files)));
    const edited = await findEdits(folder, kept, history);
    const breaches = [...problems, ...edited.map(({ kept: one, edit }) => describeEdit(one, edit))];
    const misplaced = findMisplaced(alterations, { introduced, released: settled });
    return {
      comparedWith,
      notCompared: null,
      problems: [...underRule('released', breaches), ...underRule('order', misplaced)],
    };
  } catch (error) {
    if (error instanceof GitFailure) return describeUnknownPast(describeGitFailure(error), options.env);
    throw error;
  }
}

/** In a pipeline a gate that compares nothing must not be open. */
const unknownInPipeline: Readonly<Record<string, string>> = {
  'no-git':
    'There is no git here, and so order and released files were not compared: install it in the image of this job.',
  'no-repository':
    'This is no git repository, and so order and released files were not compared: check it out, with its history and tags.',
};

function describeUnknownPast(
  history: Exclude<GitHistory, { kind: 'known' }>,
  { CI: pipeline }: Environment,
): Past {
  if (history.kind === 'none') {
    const message = /^(?:true|1)$/i.test(pipeline ?? '') ? unknownInPipeline[history.reason] : undefined;
    const problems = message === undefined ? [] : underRule('git', [{ message }]);
    return { comparedWith: null, notCompared: history.reason, problems };
  }
  const problems = underRule('git', [{ message: history.message }]);
  return { comparedWith: null, notCompared: 'problem', problems };
}

/** Also of names that make no alteration together. */
function listIdentities(files: readonly string[]): readonly string[] {
  return files
    .map(parseFileName)
    .flatMap((parsed) => (parsed.kind === 'alteration' ? parsed.alteration.id : []));
}

/** What keeps alterations from being run, by the loader and the parser of a deploy. */
async function findUnusable(
  folder: string,
  alterations: readonly Alteration[],
  options: CheckFolderOptions,
): Promise<readonly FolderProblem[]> {
  const { sql = [], module: modules = [] } = Object.groupBy(alterations, ({ format }) => format);
  const problems: FolderProblem[] = [];
  for (const file of sql.flatMap(({ file: up, downFile }) => (downFile ? [up, downFile] : [up]))) {
    options.stop?.throwIfAborted();
    problems.push(...(await refusalsOf('sql', file, () => parseSql(folder, file))));
  }
  return [...problems, ...(await findInModules(folder, modules, options))];
}

async function parseSql(folder: string, file: string): Promise<readonly Problem[]> {
  const script = await parseSqlScript(readAlterationFile(join(folder, file), file), file);
  return findUnparsed(script, file);
}

async function findInModules(
  folder: string,
  modules: readonly Alteration[],
  { stop, abandon }: CheckFolderOptions,
): Promise<readonly FolderProblem[]> {
  const ending = AbortSignal.any([stop, abandon].filter((signal) => signal !== undefined));
  const problems: FolderProblem[] = [];
  for (const [index, alteration] of modules.entries()) {
    stop?.throwIfAborted();
    const load = () => loadAlterations(folder, [alteration], { abandon: ending }).then(() => []);
    problems.push(...(await refusalsOf('load', alteration.file, load)));
    if (!abandon?.aborted) continue;
    return [...problems, ...describeLeft(alteration, modules.length - index - 1)];
  }
  stop?.throwIfAborted();
  return problems;
}

/** What the work finds, and what it throws as unusable. */
async function refusalsOf(
  rule: FolderProblem['rule'],
  file: string,
  work: () => Promise<readonly Problem[]>,
): Promise<readonly FolderProblem[]> {
  try {
    return underRule(rule, await work(), file);
  } catch (error) {
    if (!(error instanceof UnusableAlterationError)) throw error;
    const { problems, message } = error;
    return underRule(rule, problems.length > 0 ? problems : [{ message }], file);
  }
}

/** A module that exits or never settles leaves no way to load another. */
function describeLeft({ file }: Alteration, count: number): readonly FolderProblem[] {
  if (count === 0) return [];
  const left = count === 1 ? '1 more module was' : `${count} more modules were`;
  return [{ rule: 'load', file, message: `Loading ended with "${file}": ${left} not loaded.` }];
}

function underRule(rule: FolderProblem['rule'], problems: readonly Problem[], file = '.'): FolderProblem[] {
  return problems.map(({ line, column, message, ...place }) => ({
    rule,
    file: place.file ?? file,
    ...(line === undefined ? {} : { line }),
    ...(column === undefined ? {} : { column }),
    message,
  }));
}

/** By place, each once: what modules have in common is found with each of them. */
function tidy(problems: readonly FolderProblem[]): FolderProblem[] {
  const once = new Map(problems.map((problem) => [JSON.stringify(problem), problem]));
  return [...once.values()].sort(
    (left, right) =>
      compareText(left.file, right.file) ||
      (left.line ?? 0) - (right.line ?? 0) ||
      (left.column ?? 0) - (right.column ?? 0),
  );
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
