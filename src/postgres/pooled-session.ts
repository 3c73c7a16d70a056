// Altering behind a transaction pooler: what is set on a session, a lock or a setting, is somebody else's at the next
// transaction. So every transaction takes the lock for its own time, and work outside of one is done while a second
// connection holds the lock in an idle transaction.

import pg from 'pg';
import { DatabaseRefusedError, DatabaseUnreachableError, SessionLostError } from '../core/errors.ts';
import { orAborted } from '../core/or-aborted.ts';
import type { Transaction } from './connection.ts';
import { findMessage } from './database-failure.ts';
import { describeLeaks, type Leaks, leaksSql, releaseAdvisoryLocks } from './leaks.ts';
import { holdsLockSql, type LockOptions, pollLock } from './lock.ts';
import type { LockedSession, OutsideSession } from './locked-session.ts';
import { parseDocument, type Queryable, rawQuery, readDocument, trusted } from './query.ts';
import { resetRole, type SessionRemains } from './reset-session.ts';
import type { Session, SideConnection } from './session.ts';
import { keptQuery, localSettings, type Setting, settingsQuery } from './session-facts.ts';
import { sql } from './sql.ts';
import { waitAtMost } from './wait-at-most.ts';

export function openPooledSession(session: Session, key: bigint, options: LockOptions): LockedSession {
  let backendPid: number | undefined;
  let leaks: readonly string[] = [];
  let settings: readonly Setting[] = [];
  return {
    transaction: async (work, { lockTimeoutMs, onCommit }) => {
      backendPid = undefined;
      leaks = [];
      const attempt = () =>
        session.connection.transaction(
          async (transaction) => {
            // What was committed before the lock was had must be seen, whatever the role's own default.
            transaction.defer(rawQuery('set transaction isolation level read committed'));
            const begun = await beginLocked(transaction, key, lockTimeoutMs);
            if (!begun.locked) return undefined;
            backendPid = begun.backendPid;
            settings = [...begun.settings, ...begun.kept];
            settings = [...begun.settings, ...begun.kept];
            const value = await work(transaction);
            leaks = await endLeaks(transaction, key, begun);
            return { value };
          },
          onCommit ? { onCommit } : {},
        );
      const outcome = await pollLock(session.connection, key, options, async () => (await attempt()).value);
      return outcome.value;
    },
    outside: async (work, lockTimeoutMs) => {
      backendPid = undefined; // each statement may run in another process
      leaks = [];
      return withGuard(session, key, options, (check) =>
        work({
          connection: session.connection,
          check,
          transaction: (inner) => transactionOf(session, lockTimeoutMs, inner),
          withoutLockTimeout: (statement) => statement(), // there is none outside a transaction
        }),
      );
    },
    together: () => {
      throw new Error('behind a transaction pooler there is one transaction at a time');
    },
    resetRole: (transaction, onStart) => resetRole(transaction, { lockKey: key, settings }, onStart),
    reset: async (): Promise<SessionRemains> => ({ lockHeld: true, leaks }),
    backendPid: () => backendPid,
  };
}

async function transactionOf<T>(
  { connection }: Session,
  lockTimeoutMs: number,
  work: (transaction: Transaction) => Promise<T>,
): Promise<T> {
  const settings = settingsQuery(localSettings(lockTimeoutMs), 'transaction');
  const { value } = await connection.transaction(async (transaction) => {
    transaction.defer(sql.unsafe`select (${settings})::text`);
    return work(transaction);
  });
  return value;
}

interface Begun {
  readonly backendPid: number;
  readonly locked: boolean;
  readonly kept: readonly Setting[];
  readonly settings: readonly Setting[];
}

/** Notes what the pooler's connection is set to, sets what is ours for the transaction, and tries to take the lock. */
function beginLocked(transaction: Queryable, key: bigint, lockTimeoutMs: number): Promise<Begun> {
  return readDocument(
    transaction,
    sql.unsafe`
      select pg_catalog.json_build_object(
        'backendPid', pg_catalog.pg_backend_pid(),
        'kept', (${keptQuery}),
        'settings', (${settingsQuery(localSettings(lockTimeoutMs), 'transaction')}),
        'locked', pg_catalog.pg_try_advisory_xact_lock(${key}::bigint)
      )::text as document`,
    trusted<Begun>(),
  );
}

/** Ends what would stay on the pooler's connection after the transaction, for whoever gets it next. */
async function endLeaks(transaction: Queryable, key: bigint, begun: Begun): Promise<readonly string[]> {
  const expected = [...begun.settings, ...begun.kept];
  const { rows } = await transaction.query(rawQuery(leaksSql(key, expected)));
  const leaks = parseDocument(rows, trusted<Leaks>());
  const told = describeLeaks(leaks);
  // What is deferred to the commit runs with the settings that the alteration made for it.
  if (told.length > 0) await transaction.query(rawQuery('set constraints all immediate'));
  for (const text of endings(leaks)) await transaction.query(rawQuery(text));
  // Ours are among them: an alteration may have set one to the same value for longer than the transaction.
  const names = new Set([...begun.settings.map(({ name }) => name), ...leaks.settings]);
  for (const text of restorations([...names], begun.kept)) await transaction.query(rawQuery(text));
  await releaseAdvisoryLocks(transaction, leaks.advisoryLocks);
  return told;
}

function endings({
  cursors,
  temporaryObjects,
  preparedStatements,
  role,
  sessionAuthorization,
}: Leaks): readonly string[] {
  return [
    ...(role === undefined && sessionAuthorization === undefined ? [] : ['reset session authorization']),
    ...(temporaryObjects.length > 0 || cursors.length > 0 ? ['close all'] : []),
    ...(temporaryObjects.length > 0 ? ['discard temp'] : []),
    ...preparedStatements.map((name) => `deallocate ${quote(name)}`),
    'unlisten *', // what it listens to is not seen before the commit
  ];
}

function restorations(names: readonly string[], kept: readonly Setting[]): readonly string[] {
  const role = kept.find(({ name }) => name === 'role');
  return [
    ...names.map((name) => {
      const before = kept.find((setting) => setting.name === name);
      const quoted = name.split('.').map(quote).join('.');
      return before
        ? `select pg_catalog.set_config(${pg.escapeLiteral(name)}, ${pg.escapeLiteral(before.value)}, false)`
        : `reset ${quoted}`;
    }),
    ...(role ? [`set role ${quote(role.value)}`] : []),
  ];
}

const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** Calls `work` while a second connection holds the lock in a transaction that does nothing else. */
async function withGuard<T>(
  session: Session,
  key: bigint,
  options: LockOptions,
  work: (check: OutsideSession['check']) => Promise<T>,
): Promise<T> {
  const guard = await session.openSideConnection();
  try {
    // A pool that is used up keeps it waiting; nothing is under way then.
    const begun = await pollLock(session.connection, key, options, () =>
      orAborted(beginGuard(guard, key), [options.signal]),
    );
    const check = () => checkGuard(guard, key, begun.backendPid);
    // The guard's last query is one without parameters: one with them may keep a snapshot, for which
    // `create index concurrently` would wait for ever.
    await check();
    await orAborted(requireSecondConnection(session), [options.signal]);
    const result = await work(check);
    await check();
    return result;
  } finally {
    await endGuard(guard);
  }
}

const goodByeMs = 2_000;

/** A pooler keeps the connection for others, with the transaction, if it is not told. It may not answer any more. */
async function endGuard(guard: SideConnection): Promise<void> {
  const rolledBack = guard.query(rawQuery('rollback')).catch(() => undefined);
  await waitAtMost(
    rolledBack.then(() => guard.end()),
    goodByeMs,
  );
}

async function beginGuard(guard: Queryable, key: bigint): Promise<Begun | undefined> {
  try {
    await guard.query(rawQuery('begin isolation level read committed'));
    const begun = await beginLocked(guard, key, 0);
    if (begun.locked) return begun;
    await guard.query(rawQuery('rollback'));
    return undefined;
  } catch (error) {
    throw guardRefused(error);
  }
}

async function checkGuard(transaction: Queryable, key: bigint, backendPid: number): Promise<void> {
  const query = rawQuery(`
    select pg_catalog.json_build_object('pid', pg_catalog.pg_backend_pid(), 'held', (${holdsLockSql(key)}))::text as document`);
  const { pid, held } = await readDocument(
    transaction,
    query,
    trusted<{ pid: number; held: boolean }>(),
  ).catch((error: unknown) => {
    throw guardLost(error);
  });
  if (!held || pid !== backendPid) throw guardLost(new Error('it is held no longer'));
}

const secondConnectionMs = 10_000;

/** A pool of one would wait for ever: the lock is on the only connection. */
async function requireSecondConnection({ connection }: Session): Promise<void> {
  if (await waitAtMost(connection.query(rawQuery('select 1')), secondConnectionMs)) return;
  throw new DatabaseRefusedError(
    'The pooler gives no second connection, which work outside a transaction needs for its lock.',
    {
      hint: 'Let the pool have two connections or more, or give a direct connection to the server with --direct-url (DIRECT_DB_URL).',
    },
  );
}

function guardRefused(error: unknown): DatabaseUnreachableError {
  return new DatabaseUnreachableError(
    `The second connection, which holds the lock, cannot be had: ${findMessage(error).replace(/\.$/, '')}.`,
    { hint: 'Nothing was changed by this alteration. Run it again.', cause: error },
  );
}

function guardLost(error: unknown): SessionLostError {
  return new SessionLostError(
    `The connection that held the lock was lost: ${findMessage(error).replace(/\.$/, '')}.`,
    {
      hint: 'What was done outside a transaction stays. Run it again: it goes on from there.',
      cause: error,
    },
  );
}
