/** Where a problem is: a file of the alterations folder and, where known, the place in it. */
export interface Place {
  /** File name, relative to the alterations folder. */
  readonly file: string;
  /** 1-based. */
  readonly line?: number;
  /** 1-based, in characters. */
  readonly column?: number;
  /** The lines around the place, with a caret under it. */
  readonly excerpt?: string;
}

/** One thing that is wrong, as a sentence, and where. */
export interface Problem extends Partial<Place> {
  readonly message: string;
}

/** What PostgreSQL said about a statement that it refused. */
export interface DatabaseFailure {
  /** SQLSTATE, five characters. */
  readonly sqlState?: string;
  readonly message: string;
  readonly detail?: string;
  readonly hint?: string;
  /** The statement as it was sent. */
  readonly statement?: string;
  /** 1-based, in characters, within the statement. */
  readonly position?: number;
}

/** How far a run came before it failed. */
export interface RunProgress {
  readonly direction: 'up' | 'down';
  /** File names of what was done, in order. */
  readonly done: readonly string[];
  /** File names of what was not, the one under way first. */
  readonly remaining: readonly string[];
}

/** The way through an alteration that was under way when something happened. */
export type Phase = 'up' | 'down' | 'beforeUp' | 'beforeDown';

/**
 * Every failure that is foreseen. `code` tells them apart, `message` is a sentence for people,
 * `hint` says what to do, and the facts are fields of the subclass.
 */
export abstract class AlterationError extends Error {
  abstract readonly code: string;
  /** What to do about it, as a sentence. */
  readonly hint: string | undefined;
  /** All problems of one kind, reported together; empty where the message says it all. */
  readonly problems: readonly Problem[];
  /** Set by the run that the error ended: what it had done, and what not. */
  progress: RunProgress | undefined;

  constructor(
    message: string,
    options: { hint?: string | undefined; problems?: readonly Problem[]; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = new.target.name;
    this.hint = options.hint;
    this.problems = options.problems ?? [];
  }
}

/** The command or the call itself makes no sense. */
export class UsageError extends AlterationError {
  override readonly code = 'usage';
}

/** Settings are missing or wrong; `problems` lists all of them. */
export class ConfigurationError extends AlterationError {
  override readonly code = 'configuration';
}

/** A target is neither `latest` nor `next` nor a version. */
export class InvalidTargetError extends AlterationError {
  override readonly code = 'invalid-target';
  readonly target: string;

  constructor(target: string, hint: string) {
    super(`"${target}" is not a target.`, { hint });
    this.target = target;
  }
}

/** The alterations folder is missing or holds names that cannot be; nothing was run. */
export class FolderError extends AlterationError {
  override readonly code = 'folder';
}

/** Alterations that cannot be loaded; nothing was run. */
export class UnusableAlterationError extends AlterationError {
  override readonly code = 'alteration-unusable';
}

interface FailedOptions {
  readonly alteration: string;
  readonly phase: Phase;
  readonly place?: Place | undefined;
  readonly database?: DatabaseFailure | undefined;
  /** Who kept it waiting, where it failed for that. */
  readonly blockers?: readonly Blocker[] | undefined;
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** An alteration failed and left nothing behind. */
export class AlterationFailedError extends AlterationError {
  override readonly code = 'alteration-failed';
  /** File name of the alteration. */
  readonly alteration: string;
  readonly phase: Phase;
  readonly place: Place | undefined;
  readonly database: DatabaseFailure | undefined;
  /** The sessions that kept it waiting past the lock deadline; empty where it failed for another reason. */
  readonly blockers: readonly Blocker[];

  constructor(message: string, options: FailedOptions) {
    super(message, options);
    this.alteration = options.alteration;
    this.phase = options.phase;
    this.place = options.place;
    this.database = options.database;
    this.blockers = options.blockers ?? [];
  }
}

/** An alteration failed outside a transaction: part of its work stays. The next deploy goes on with it. */
export class AlterationHalfDoneError extends AlterationError {
  override readonly code = 'alteration-half-done';
  readonly alteration: string;
  readonly phase: Phase;
  readonly place: Place | undefined;
  readonly database: DatabaseFailure | undefined;
  /** The sessions that kept it waiting past the lock deadline; empty where it failed for another reason. */
  readonly blockers: readonly Blocker[];
  /** Statements of a no-transaction file that are done, and how many it has; absent for a script's phase. */
  readonly statements: { readonly done: number; readonly total: number } | undefined;

  constructor(
    message: string,
    options: FailedOptions & { readonly statements?: { readonly done: number; readonly total: number } },
  ) {
    super(message, options);
    this.alteration = options.alteration;
    this.phase = options.phase;
    this.place = options.place;
    this.database = options.database;
    this.blockers = options.blockers ?? [];
    this.statements = options.statements;
  }
}

/** A session that keeps a statement waiting, as far as PostgreSQL tells: of other roles it may hide most. */
export interface Blocker {
  readonly pid: number;
  readonly applicationName?: string;
  readonly role?: string;
  /** As in pg_stat_activity, such as `idle in transaction`. */
  readonly state?: string;
  /** Milliseconds since its transaction began. */
  readonly transactionAgeMs?: number;
  /** Mode of the lock that it holds or waits for before us, such as `AccessShareLock`. */
  readonly lockMode?: string;
  /** What the lock is on, with its schema; absent for a row's, which PostgreSQL does not name. */
  readonly relation?: string;
  /** The first words of its query. */
  readonly query?: string;
}

/** The session that holds the lock, as far as PostgreSQL tells. */
export interface LockHolder {
  readonly pid: number;
  readonly applicationName: string;
  /** Client address; absent on a Unix socket or without the right to see it. */
  readonly host?: string;
  readonly role?: string;
  /** ISO 8601: when that session connected. */
  readonly since?: string;
}

/** Another instance held the lock for longer than the lock wait. */
export class LockHeldError extends AlterationError {
  override readonly code = 'lock-held';
  readonly holder: LockHolder | undefined;
  /** Milliseconds. */
  readonly waitedMs: number;

  constructor(message: string, options: { holder: LockHolder | undefined; waitedMs: number; hint: string }) {
    super(message, options);
    this.holder = options.holder;
    this.waitedMs = options.waitedMs;
  }
}

/** Another instance has altered in between, where the lock is taken for each alteration; the plan no longer suits. */
export class OvertakenError extends AlterationError {
  override readonly code = 'overtaken';
}

/** The history table could not be made ready, for locks of others. */
export class HistoryBlockedError extends AlterationError {
  override readonly code = 'history-blocked';
  readonly blockers: readonly Blocker[];

  constructor(message: string, options: { blockers: readonly Blocker[]; hint: string; cause?: unknown }) {
    super(message, options);
    this.blockers = options.blockers;
  }
}

/** The database session ended under the run, and the lock with it. */
export class SessionLostError extends AlterationError {
  override readonly code = 'session-lost';
}

/** Applied files whose content is no longer what was applied. */
export class EditedError extends AlterationError {
  override readonly code = 'edited';
}

/** Strict order was asked for, and there are late alterations. */
export class StrictOrderError extends AlterationError {
  override readonly code = 'strict-order';
}

/** The history table is not one, is of a newer runner, or has a row that makes no sense. */
export class HistoryError extends AlterationError {
  override readonly code = 'history';
}

/** A rollback that cannot be done: no `down`, or no file. */
export class RollbackRefusedError extends AlterationError {
  override readonly code = 'rollback-refused';
}

/** A baseline over a history that has rows. */
export class BaselineRefusedError extends AlterationError {
  override readonly code = 'baseline-refused';
}

/** Nothing answers at the database's address, or it is not ready. */
export class DatabaseUnreachableError extends AlterationError {
  override readonly code = 'database-unreachable';
}

/** The database answers, and refuses: password, database name, role, TLS. */
export class DatabaseRefusedError extends AlterationError {
  override readonly code = 'database-refused';
}

/** Stopped by a signal, at a safe point. */
export class StoppedError extends AlterationError {
  override readonly code = 'stopped';
  readonly signal: string;

  constructor(signal: string, hint?: string) {
    super(`Stopped by ${signal}.`, { hint });
    this.signal = signal;
  }
}
