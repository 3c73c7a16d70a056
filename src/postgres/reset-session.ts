import pg from 'pg';
import type { Connection, Transaction } from './connection.ts';
import { findErrorCode, isSessionLoss } from './database-failure.ts';
import {
  type AdvisoryLock,
  describeLeaks,
  describeLock,
  type Leaks,
  leaksSql,
  releaseAdvisoryLocks,
} from './leaks.ts';
import { parseDocument, type QueryAnswer, type Queryable, rawQuery, readDocument, trusted } from './query.ts';
import { changedQuery, keptQuery, type Setting } from './session-facts.ts';
import { type Query, sql } from './sql.ts';

/** What a reset has found. */
export interface SessionRemains {
  /** False when the runner's lock is gone: a script has released it. */
  readonly lockHeld: boolean;
  /** What a script has left, in a few words each, without values. */
  readonly leaks: readonly string[];
}

/** What a session is brought back to. */
export interface Beginning {
  /** The runner's own lock. */
  readonly lockKey: bigint;
  /** With values as PostgreSQL shows them; `role` too. */
  readonly settings: readonly Setting[];
  /** Those of them that are not what `reset all` makes them. */
  readonly changed: readonly Setting[];
}

/** What a session is like before its first alteration. */
export async function readBeginning(connection: Queryable, lockKey: bigint): Promise<Beginning> {
  const query = sql.unsafe`
    select pg_catalog.json_build_object('settings', (${keptQuery}), 'changed', (${changedQuery}))::text as document`;
  return { lockKey, ...(await readDocument(connection, query, trusted<Omit<Beginning, 'lockKey'>>())) };
}

/** Ends what a script may have left in the session, save for advisory locks. */
const resets = [
  'reset session authorization', // the role too
  'reset all',
  'close all',
  'unlisten *',
  'deallocate all',
  'discard temp',
];

/** One row a lock, as text: read after each alteration. */
const locksSql = `
  select pg_catalog.concat_ws(' ', l.classid, l.objid, l.objsubid, l.mode) as lock from pg_catalog.pg_lock_status() as l
  where l.locktype = 'advisory' and l.granted and l.pid = pg_catalog.pg_backend_pid()`;

/** Brings everything back that a script may leave in a session, save for advisory locks. What was left it does not tell. */
export function resetQueries({ changed }: Beginning): readonly Query[] {
  return [...resets.map((text) => rawQuery(text)), ...restoreQuery(changed)];
}

/** The same, and a last query for the advisory locks: cheap enough to be sent after each alteration. */
export function resetAndLockQueries(beginning: Beginning): readonly Query[] {
  return [...resetQueries(beginning), rawQuery(locksSql)];
}

/** Whether the session holds the runner's lock. */
export async function holdsLock(queryable: Queryable, { lockKey }: Beginning): Promise<boolean> {
  return readLocks([await queryable.query(rawQuery(locksSql))]).some((lock) => isLock(lock, lockKey));
}

function restoreQuery(settings: readonly Setting[]): readonly Query[] {
  if (settings.length === 0) return [];
  const calls = settings.map(({ name, value }) => {
    const [quotedName, quotedValue] = [pg.escapeLiteral(name), pg.escapeLiteral(value)];
    return `pg_catalog.set_config(${quotedName}, ${quotedValue}, false)`;
  });
  return [rawQuery(`select ${calls.join(', ')}`)];
}

/**
 * Brings a session back to its beginning, save for the runner's lock. Of what a script has left it tells the advisory
 * locks, which it releases one by one.
 * @param sent Answers to the reset's queries, where they have been sent already.
 */
export async function resetSession(
  connection: Connection,
  beginning: Beginning,
  sent?: readonly QueryAnswer[],
): Promise<SessionRemains> {
  const answers = sent ?? (await sendResets(connection, beginning));
  const locks = readLocks(answers);
  const others = locks.filter((lock) => !isLock(lock, beginning.lockKey));
  await releaseAdvisoryLocks(connection, others);
  return { lockHeld: others.length < locks.length, leaks: others.map(describeLock) };
}

/** What a script has left, such as a timeout, may end the first attempt to be rid of it. */
async function sendResets(connection: Connection, beginning: Beginning): Promise<readonly QueryAnswer[]> {
  const queries = resetAndLockQueries(beginning);
  return connection.batch(queries).catch((error: unknown) => {
    if (isSessionLoss(error)) throw error;
    return connection.batch(queries);
  });
}

/** The same, and tells all that a script has left: to look for it costs the server some milliseconds. */
export async function resetAndTell(connection: Connection, beginning: Beginning): Promise<SessionRemains> {
  const look = rawQuery(leaksSql(beginning.lockKey, beginning.settings));
  const restore = resetAndLockQueries(beginning);
  try {
    return await readRemains(connection, await connection.batch([look, ...restore]), beginning, []);
  } catch (error) {
    if (isSessionLoss(error)) throw error;
    const told = findErrorCode(error) === '57014' ? ['setting statement_timeout'] : [];
    const restored = await sendResets(connection, beginning);
    const [seen] = await connection.batch([look]); // advisory locks are there still
    return readRemains(connection, [seen ?? { rows: [] }, ...restored], beginning, told);
  }
}

async function readRemains(
  connection: Connection,
  answers: readonly QueryAnswer[],
  { lockKey }: Beginning,
  told: readonly string[],
): Promise<SessionRemains> {
  const leaks = parseDocument(answers.at(0)?.rows, trusted<Leaks>());
  const lockHeld = readLocks(answers).some((lock) => isLock(lock, lockKey));
  await releaseAdvisoryLocks(connection, leaks.advisoryLocks);
  return { lockHeld, leaks: [...told, ...describeLeaks(leaks)] };
}

function readLocks(answers: readonly QueryAnswer[]): readonly AdvisoryLock[] {
  const rows = answers.at(-1)?.rows ?? [];
  return rows.map((row) => {
    const [text] = typeof row === 'object' && row !== null ? Object.values(row) : []; // interceptors rename columns
    const [classid, objid, objsubid, mode = ''] = String(text).split(' ');
    return { classid: Number(classid), objid: Number(objid), objsubid: Number(objsubid), mode };
  });
}

function isLock({ classid, objid, objsubid }: AdvisoryLock, key: bigint): boolean {
  return objsubid === 1 && BigInt.asIntN(64, (BigInt(classid) << 32n) | BigInt(objid)) === key;
}

/**
 * Brings the role back to the session's beginning, within a transaction; tells what it was, if another.
 * @param onStart Called when all that was deferred before is done.
 */
export async function resetRole(
  transaction: Transaction,
  { lockKey, settings }: Omit<Beginning, 'changed'>,
  onStart: () => void,
): Promise<readonly string[]> {
  transaction.defer({ ...rawQuery('select'), onStart });
  const { rows } = await transaction.query(rawQuery(leaksSql(lockKey, settings)));
  const { role, sessionAuthorization } = parseDocument(rows, trusted<Leaks>());
  await transaction.query(rawQuery('reset session authorization'));
  const own = settings.find(({ name }) => name === 'role');
  if (own) await transaction.query(sql.unsafe`select pg_catalog.set_config('role', ${own.value}, false)`);
  return [
    ...(role === undefined ? [] : [`role ${role}`]),
    ...(sessionAuthorization === undefined ? [] : [`session authorization ${sessionAuthorization}`]),
  ];
}
