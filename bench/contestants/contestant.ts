import { fileURLToPath } from 'node:url';
import type { Alteration } from '../alteration.ts';

/**
 * `version`: starts, tells its version and ends, or, where there is no command line, loads what it needs.
 * `deploy`: brings the database to the newest alteration. `no-op`: the same when all of them are applied.
 * `list`: tells what is applied and what is pending.
 */
export type Action = 'version' | 'deploy' | 'no-op' | 'list';

export type Transactions = 'each alteration' | 'whole deploy' | 'none';
export type Lock = 'waits' | 'refuses' | 'none';

/** Where it finds its files and its database. */
export interface Place {
  /** The folder that `write` has filled. */
  readonly folder: string;
  /** `postgres://…` */
  readonly url: string;
}

/** A process, as it is started. */
export interface CommandLine {
  readonly file: string;
  readonly args: readonly string[];
  /** Beside what each process gets. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** A tool that takes a database through the alterations, or a floor that it is measured against. */
export interface Contestant {
  /** As `--contestants` and the tables say it. */
  readonly name: string;
  readonly kind: 'ours' | 'peer' | 'floor';
  /** The npm package that is measured, where it is one of the benchmark's own. */
  readonly package?: string;
  /** How it is run, and what an alteration is for it. */
  readonly note: string;
  /** What a deploy puts into transactions of its own making. */
  readonly transactions: Transactions;
  /** What becomes of a second process that wants to deploy at the same time. */
  readonly lock: Lock;
  /** Its own table, `schema.name`, with one row for each applied alteration. */
  readonly history: string;
  /** Which of its rows are those, where there are others. */
  readonly historyCondition?: string;
  /** Its other tables. */
  readonly bookkeeping?: readonly string[];
  /** The floor of its deploys, where it is not that of the others. */
  readonly floor?: string;
  /** Whose files and database it is measured with, where it applies nothing itself. */
  readonly guestOf?: Contestant;
  /** Writes files for the alterations into the folder, which may hold those of a shorter history. */
  write(folder: string, alterations: readonly Alteration[]): Promise<void>;
  /** What the action is for it; an action that it does not have is not measured. */
  readonly actions: { readonly [A in Action]?: (place: Place) => CommandLine };
}

/** A program of Node's. */
export function runNode(
  args: readonly string[],
  options: Omit<CommandLine, 'file' | 'args'> = {},
): CommandLine {
  return { file: process.execPath, args, ...options };
}

/** A file of an installed package. */
export function fileOfPackage(path: string): string {
  return fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url));
}

/** One of `scripts/`: what users of a library without a command line of its own write, after its documentation. */
export function runScript(name: string, action: Action, place: Place): CommandLine {
  const script = fileURLToPath(new URL(`../scripts/${name}.js`, import.meta.url));
  return runNode([script, action], { cwd: place.folder, env: { DATABASE_URL: place.url } });
}

/** The actions of such a script. */
export function actionsOfScript(name: string, has: readonly Action[]): Contestant['actions'] {
  return Object.fromEntries(has.map((action) => [action, (place: Place) => runScript(name, action, place)]));
}
