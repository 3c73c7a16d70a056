// How long readers are kept waiting while an alteration wants their table, which somebody reads for long.
//   npm run build && node bench/reader-latency.ts [--reader 30s] [--unguarded 5s] [--lock-timeout 500ms]
// One transaction reads the table, and readers query it in a loop; then `alter table` is deployed, with the lock timeout
// and, for comparison, without one behind a transaction that ends sooner. It fails where a query took longer than the
// lock timeout and 200 ms, or the alteration was not applied once the transaction was over.

import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { parseDuration } from '../src/core/duration.ts';
import { withEmbeddedServer } from '../src/postgres/embedded-server.ts';

const readers = 20;
const pauseMs = 5;
const toleranceMs = 200;
/** Before the alteration and after it. */
const quietMs = 1_000;
const root = new URL('..', import.meta.url).pathname;

interface Outcome {
  /** Of every query, in milliseconds, in order. */
  readonly waits: readonly number[];
  /** The longest of each reader, in order. */
  readonly longest: readonly number[];
  readonly attempts: number;
  /** From the end of the long transaction to the alteration's own. */
  readonly appliedAfterMs: number;
}

const { values } = parseArgs({
  options: {
    reader: { type: 'string', default: '30s' },
    unguarded: { type: 'string', default: '5s' },
    'lock-timeout': { type: 'string', default: '500ms' },
  },
});
const lockTimeoutMs = durationOf(values['lock-timeout']);

const work = await mkdtemp(join(tmpdir(), 'alteration-bench-'));
try {
  const dir = join(work, 'alterations');
  await mkdir(dir);
  await writeFile(join(dir, '1.0.0-1-alter-items.sql'), 'alter table items add column more int;\n');
  await withEmbeddedServer(join(work, 'server'), async ({ connectionString }) => {
    const guarded = await measure(connectionString, dir, values['lock-timeout'], durationOf(values.reader));
    const unguarded = await measure(connectionString, dir, '0', durationOf(values.unguarded));
    tell(guarded, unguarded);
  });
} finally {
  await rm(work, { recursive: true, force: true });
}

async function measure(url: string, dir: string, lockTimeout: string, holdMs: number): Promise<Outcome> {
  const admin = await connect(url, 'bench');
  await admin.query('drop table if exists items, alteration_history');
  await admin.query('create table items as select n as id from generate_series(1, 1000) as n');
  const over = new AbortController();
  const reading = Promise.all(Array.from({ length: readers }, () => readUntil(over.signal, url)));
  try {
    const run = await deployBehindReader(url, dir, lockTimeout, holdMs);
    over.abort();
    const waits = await reading;
    await admin.query('select more from items'); // fails where it was not altered
    const applied = await one(admin, 'select applied_at as moment from alteration_history');
    return {
      waits: sort(waits.flat()),
      longest: sort(waits.map((own) => Math.max(...own))),
      attempts: run.attempts,
      appliedAfterMs: applied.getTime() - run.readerGone.getTime(),
    };
  } finally {
    over.abort();
    await admin.end();
  }
}

/** A transaction reads the table for that long, from before the deploy. */
async function deployBehindReader(url: string, dir: string, lockTimeout: string, holdMs: number) {
  const holder = await connect(url, 'long reader');
  try {
    await holder.query('begin');
    await holder.query('select from items');
    await pause(quietMs);
    const [readerGone, attempts] = await Promise.all([
      pause(holdMs).then(() => endReading(holder)),
      deploy(url, dir, lockTimeout),
    ]);
    await pause(quietMs);
    return { readerGone, attempts };
  } finally {
    await holder.end();
  }
}

async function endReading(holder: pg.Client): Promise<Date> {
  const moment = await one(holder, 'select pg_catalog.clock_timestamp() as moment');
  await holder.query('commit');
  return moment;
}

async function connect(connectionString: string, application_name: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString, application_name });
  await client.connect();
  return client;
}

async function one(client: pg.Client, text: string): Promise<Date> {
  const { rows } = await client.query<{ moment: Date }>(text);
  const [row] = rows;
  if (!row) throw new Error(`No row: ${text}`);
  return row.moment;
}

/** Queries the table again and again; gives what each query took, in milliseconds. */
async function readUntil(over: AbortSignal, url: string): Promise<readonly number[]> {
  const client = await connect(url, 'reader');
  const waits: number[] = [];
  while (!over.aborted) {
    const start = performance.now();
    await client.query('select id from items limit 1');
    waits.push(performance.now() - start);
    await pause(pauseMs * (0.5 + Math.random()));
  }
  await client.end();
  return waits;
}

/** Deploys with the built binary; gives the number of attempts that its log tells of. */
function deploy(url: string, dir: string, lockTimeout: string): Promise<number> {
  const args = [
    'deploy',
    'latest',
    '--lock-timeout',
    lockTimeout,
    '--lock-deadline',
    '10m',
    '--log-format',
    'json',
  ];
  const child = spawn(process.execPath, [join(root, 'dist/bin.js'), ...args, '--dir', dir], {
    env: { ...process.env, DB_URL: url },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  return new Promise((settle, fail) => {
    child.on('error', fail);
    child.on('close', (exitCode) => {
      if (exitCode === 0) settle(1 + log.split('"tried again after a pause"').length - 1);
      else fail(new Error(log));
    });
  });
}

function tell(guarded: Outcome, unguarded: Outcome): void {
  const longest = guarded.waits.at(-1) ?? 0;
  const inTime = longest <= lockTimeoutMs + toleranceMs;
  const inOrder = guarded.appliedAfterMs >= 0;
  const rows = [
    describe(`\`--lock-timeout ${values['lock-timeout']}\``, values.reader, guarded),
    describe('`--lock-timeout 0`', values.unguarded, unguarded),
  ];
  process.stdout.write(`${readers} readers, what a query took in ms:

| | long reader | queries | min | median | p99 | max | longest of the luckiest reader | attempts | applied after the long reader |
| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |
${rows.join('\n')}

No reader waited longer than the lock timeout and ${toleranceMs} ms: ${inTime ? 'yes' : 'NO'} (${longest.toFixed(0)} ms of ${lockTimeoutMs + toleranceMs} ms)
Applied once the long reader was gone: ${inOrder ? 'yes' : 'NO'}
`);
  if (!inTime || !inOrder) process.exitCode = 1;
}

function describe(name: string, held: string, { waits, longest, attempts, appliedAfterMs }: Outcome): string {
  const [min = 0, median = 0, p99 = 0, max = 0] = [0, 0.5, 0.99, 1].map((share) => quantile(waits, share));
  const cells = [name, held, waits.length, min.toFixed(1), median.toFixed(1), p99.toFixed(1), max.toFixed(0)];
  const luckiest = (longest[0] ?? 0).toFixed(0);
  return `| ${[...cells, luckiest, attempts, `${(appliedAfterMs / 1_000).toFixed(1)} s`].join(' | ')} |`;
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

function sort(numbers: readonly number[]): readonly number[] {
  return numbers.toSorted((left, right) => left - right);
}

function durationOf(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new Error(`"${text}" is not a duration such as 30s.`);
  return ms;
}
