import type pg from 'pg';
import { sql } from 'slonik';
import { z } from 'zod';
import { findErrorCode, isSessionLoss } from './database-failure.ts';
import { markTermination } from './driver.ts';
import type { HistoryTable } from './history-table.ts';
import { describeLeaks, leaksSql, parseLeaks, releaseAdvisoryLocks } from './leaks.ts';
import { lockKey } from './lock.ts';
import { parseDocument, type Queryable, rawQuery } from './query.ts';
import { resets, restoreSql, type SessionFacts } from './session-facts.ts';

/** What a reset has found. */
export interface SessionRemains {
  /** False when the runner's lock is gone: a script has released it. */
  readonly lockHeld: boolean;
  /** What a script has left, in a few words each, without values. */
  readonly leaks: readonly string[];
}

/** Brings everything that a script may leave in a session back to its beginning, save for the runner's lock. */
export async function resetSession(
  connection: Queryable,
  client: pg.Client | undefined,
  historyTable: HistoryTable,
  { settings, kept }: SessionFacts,
): Promise<SessionRemains> {
  const begun = [...settings, ...kept];
  const look = leaksSql(lockKey(historyTable), begun);
  const restore = [...resets, restoreSql(begun, historyTable)];
  const send = (texts: readonly string[]) =>
    client ? sendTogether(client, texts) : sendOneByOne(connection, texts);
  try {
    return await readRemains(connection, await send([look, ...restore]), []);
  } catch (error) {
    if (isSessionLoss(error)) throw error;
    // What a script has left, such as a timeout, may end the look at it.
    const told = findErrorCode(error) === '57014' ? ['setting statement_timeout'] : [];
    const restored = await send(restore);
    const [seen = []] = await send([look]); // advisory locks are there still
    return readRemains(connection, [seen, ...restored], told);
  }
}

async function readRemains(
  connection: Queryable,
  answers: readonly Rows[],
  told: readonly string[],
): Promise<SessionRemains> {
  const leaks = parseLeaks(parseDocument(answers.at(0), z.unknown()));
  const { held } = parseDocument(answers.at(-1), z.object({ held: z.boolean() }));
  await releaseAdvisoryLocks(connection, leaks);
  return { lockHeld: held, leaks: [...told, ...describeLeaks(leaks)] };
}

/** Brings the role back to the session's beginning, within a transaction; tells what it was, if another. */
export async function resetRole(
  transaction: Queryable,
  historyTable: HistoryTable,
  { settings, kept }: SessionFacts,
): Promise<readonly string[]> {
  const { rows } = await transaction.query(rawQuery(leaksSql(lockKey(historyTable), [...settings, ...kept])));
  const { role, sessionAuthorization } = parseLeaks(parseDocument(rows, z.unknown()));
  await transaction.query(rawQuery('reset session authorization'));
  const own = kept.find(({ name }) => name === 'role');
  if (own) await transaction.query(sql.unsafe`select pg_catalog.set_config('role', ${own.value}, false)`);
  return [
    ...(role === undefined ? [] : [`role ${role}`]),
    ...(sessionAuthorization === undefined ? [] : [`session authorization ${sessionAuthorization}`]),
  ];
}

type Rows = readonly unknown[];

/** One message where the client is ours; another driver may refuse several statements in one. */
async function sendTogether(client: pg.Client, texts: readonly string[]): Promise<readonly Rows[]> {
  // Of several statements the answer is an array, which the types do not tell.
  const answers: unknown = await client.query(texts.join(';\n')).catch((error: unknown) => {
    throw markTermination(error);
  });
  return z
    .array(z.object({ rows: z.array(z.unknown()) }))
    .parse(Array.isArray(answers) ? answers : [answers])
    .map(({ rows }) => rows);
}

async function sendOneByOne(connection: Queryable, texts: readonly string[]): Promise<readonly Rows[]> {
  const answers: Rows[] = [];
  for (const text of texts) answers.push((await connection.query(rawQuery(text))).rows);
  return answers;
}
