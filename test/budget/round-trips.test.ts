import { parse } from 'libpg-query';
import { describe, expect, test } from 'vitest';
import { type Sandbox, useSandboxes } from '../support/sandbox.ts';
import { moduleHistory, sqlHistory } from './history.ts';
import { type Conversation, withWire } from './wire.ts';

const budgets = {
  /** Runs before every pod start and in every pipeline: facts about the session, history, and nothing else. */
  noOp: 2,
  /** Once, however much is pending: the session, the history before and under the lock, its table, the lock. */
  wholeDeploy: 12,
  /** Sent in one go, with its row, its commit and the reset of the session. */
  sqlAlteration: () => 1,
  /** A transaction is begun before its queries; its row and the commit go together. */
  module: (queries: number) => queries + 2,
};

const short = 10;
const long = 40;

const createSandbox = useSandboxes();

describe('a deploy with nothing to do', () => {
  test('needs few round trips, takes no lock and writes nothing', async () => {
    const sandbox = await createSandbox(sqlHistory(1_000, 1));
    await deploy(sandbox, sandbox.url);
    const before = await readState(sandbox);

    const { connections, roundTrips, queries } = await listenTo(sandbox);

    expect(await readState(sandbox)).toEqual(before);
    expect(await describeQueries(queries)).toEqual({ kinds: onlyReading, calls: [], locks: 0 });
    expect(connections).toBe(1);
    expect(roundTrips, tell('round trips of a no-op', queries)).toBeLessThanOrEqual(budgets.noOp);
  });

  test('is done on a database that takes no changes', async () => {
    const sandbox = await createSandbox(sqlHistory(10, 1));
    await deploy(sandbox, sandbox.url);
    await sandbox.query(`alter database ${sandbox.name} set default_transaction_read_only = on`);

    const { exitCode, stderr } = await sandbox.run(['deploy', 'latest']);

    expect(exitCode, stderr).toBe(0);
  });
});

describe('a deploy', () => {
  test('that has something to do is seen to lock and to write', async () => {
    const { queries } = await listenTo(await createSandbox(sqlHistory(1, 2)));

    const { kinds, calls } = await describeQueries(queries);

    expect(kinds).toEqual(expect.arrayContaining(['CreateStmt', 'InsertStmt']));
    expect(calls.join()).toMatch(/advisory/);
  });

  test.for([1, 2, 5])('of SQL alterations with %i statements needs few round trips', async (statements) => {
    await expectFewRoundTrips((count) => sqlHistory(count, statements), budgets.sqlAlteration());
  });

  test.for([1, 2, 5])('of TypeScript alterations with %i queries needs few', async (statements) => {
    await expectFewRoundTrips((count) => moduleHistory(count, statements), budgets.module(statements));
  });
});

/** What is common to a short and a long history is the deploy's own, the rest is the alterations'. */
async function expectFewRoundTrips(
  history: (count: number) => Readonly<Record<string, string>>,
  budget: number,
): Promise<void> {
  const fewer = await listenTo(await createSandbox(history(short)));
  const more = await listenTo(await createSandbox(history(long)));
  const each = (more.roundTrips - fewer.roundTrips) / (long - short);
  const once = fewer.roundTrips - each * short;
  const told = `round trips: ${each} an alteration and ${once} a deploy, over ${fewer.connections} connections`;
  expect(each, told).toBeLessThanOrEqual(budget);
  expect(once, told).toBeLessThanOrEqual(budgets.wholeDeploy);
}

function listenTo(sandbox: Sandbox): Promise<Conversation> {
  return withWire(sandbox.url, async ({ through, takeConversation }) => {
    await deploy(sandbox, through(sandbox.url));
    return takeConversation();
  });
}

async function deploy({ run }: Sandbox, url: string): Promise<void> {
  const { exitCode, stderr } = await run(['deploy', 'latest'], { env: { DB_URL: url } });
  expect(exitCode, stderr).toBe(0);
}

/** Each row with the transaction that wrote it, and how many rows were ever written. */
function readState({ query }: Sandbox) {
  return query(`
    select
      (select json_agg(json_build_array(xmin, ctid, h)) from alteration_history h) as rows,
      (select json_agg(json_build_array(oid, xmin) order by oid) from pg_class where relnamespace = 'public'::regnamespace) as relations
  `);
}

const onlyReading = expect.not.arrayContaining([
  expect.not.stringMatching(/^(?:SelectStmt|VariableSetStmt|VariableShowStmt|TransactionStmt)$/),
]);
const suspicious = /advisory|nextval|setval|^lo_|notify|dblink/;

/** Kinds of statements, functions that lock or write, and rows that are locked, as PostgreSQL's own parser sees them. */
async function describeQueries(texts: readonly string[]) {
  const kinds = new Set<string>();
  const calls = new Set<string>();
  let locks = 0;
  const visit = (key: string, value: unknown): unknown => {
    if (key === 'stmt') for (const kind of Object.keys(value as object)) kinds.add(kind); // a node: its kind is its key
    if (key === 'lockingClause') locks += 1;
    if (key === 'funcname') {
      const name = JSON.stringify(value).match(/"sval":"(\w+)"\}\}\]$/)?.[1] ?? '';
      if (suspicious.test(name)) calls.add(name);
    }
    return value;
  };
  for (const text of texts) JSON.stringify(await parse(text), visit);
  return { kinds: [...kinds], calls: [...calls], locks };
}

function tell(what: string, queries: readonly string[]): string {
  const lines = queries.map((text) => `  ${text.replace(/\s+/g, ' ').trim().slice(0, 100)}`);
  return [`${what}; the queries:`, ...lines, ''].join('\n');
}
