import { randomUUID } from 'node:crypto';
import type { Transaction } from './connection.ts';
import { describeLeaks, type Leaks, leaksSql } from './leaks.ts';
import { type LockedSession, lockTimeoutQuery } from './locked-session.ts';
import { parseDocument, rawQuery, readDocument, trusted } from './query.ts';
import { type Beginning, resetQueries, type SessionRemains } from './reset-session.ts';

export interface SharedOptions {
  readonly beginning: Beginning;
  /** The lock timeout that the session begins with. */
  readonly usualMs: number;
  readonly tellLeaks: boolean;
  readonly resetRole: LockedSession['resetRole'];
  readonly backendPid: () => number | undefined;
}

/**
 * Lets every alteration have its part of one transaction as if it were a transaction of its own: what is deferred to
 * the commit is checked at its end, and the next one begins with the same session. Whoever began it commits it.
 */
export async function shareTransaction(
  transaction: Transaction,
  { beginning, usualMs, tellLeaks, resetRole, backendPid }: SharedOptions,
): Promise<LockedSession> {
  // Most databases defer nothing; a subtransaction for each alteration would take its time in vain.
  let isPlain = !(await readDocument(transaction, deferredQuery, trusted<boolean>()));
  let remains: SessionRemains = { lockHeld: true, leaks: [] };
  // Not to be guessed: nobody goes back behind the beginning of his own part.
  const name = `alteration_${randomUUID().replaceAll('-', '')}`;
  const frame = frameOf(`${name}_part`, `${name}_check`);
  return {
    transaction: async (work, { lockTimeoutMs, onCommit, isPlain: isWorkPlain = false }) => {
      isPlain &&= isWorkPlain;
      const { begin, end } = isPlain ? { begin: [], end: [] } : frame;
      for (const text of begin) transaction.defer(rawQuery(text));
      if (lockTimeoutMs !== usualMs) transaction.defer(lockTimeoutQuery(lockTimeoutMs, 'local'));
      const value = await work(transaction);
      for (const [index, text] of end.entries())
        transaction.defer({ ...rawQuery(text), ...(index === 0 && onCommit ? { onStart: onCommit } : {}) });
      remains = await reset(transaction, beginning, tellLeaks);
      return value;
    },
    outside: refuse,
    together: refuse,
    resetRole,
    reset: async () => remains,
    backendPid,
  };
}

function refuse(): never {
  throw new Error('work that is no part of a transaction was let into one');
}

/** At its end deferred constraints are checked; that is taken back, for their checks at the commit. Savepoints go. */
function frameOf(part: string, check: string) {
  return {
    begin: [`savepoint ${part}`],
    end: [
      `savepoint ${check}`,
      'set constraints all immediate',
      `rollback to savepoint ${check}`,
      `release savepoint ${part}`,
    ],
  };
}

const deferredQuery = rawQuery(
  'select (exists (select from pg_catalog.pg_trigger where tginitdeferred))::text as document',
);

/** Advisory locks stay: within a transaction those that its end releases cannot be told from the others. */
async function reset(
  transaction: Transaction,
  beginning: Beginning,
  tellLeaks: boolean,
): Promise<SessionRemains> {
  const look = rawQuery(leaksSql(beginning.lockKey, beginning.settings));
  const rows = tellLeaks ? (await transaction.query(look)).rows : undefined;
  const leaks = rows ? describeLeaks({ ...parseDocument(rows, trusted<Leaks>()), advisoryLocks: [] }) : [];
  for (const query of resetQueries(beginning)) transaction.defer(query);
  await transaction.query(rawQuery('select')); // what has failed is told of the alteration that it belongs to
  return { lockHeld: true, leaks }; // it is looked for at the end: the more locks a transaction has, the longer that takes
}
