// npm run bench -- [--quick] [--only …] [--contestants …] [--rounds n]
// Measures this package, its peers and their floors in one run on one server.

import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileOfPackage } from './contestants/contestant.ts';
import { oursProgram } from './contestants/ours.ts';
import { findPsql } from './contestants/psql.ts';
import { type DelayProxy, withDelayProxy } from './delay-proxy.ts';
import { measureNetwork, readContestantFacts, readMachine } from './facts.ts';
import { generateAlterations } from './generate.ts';
import { type Meter, openMeter } from './measure.ts';
import { type Options, parseOptions, usage } from './options.ts';
import { playTrials } from './play-trials.ts';
import { openRecord, openSketch } from './record.ts';
import { renderReport } from './report.ts';
import type { Results, Session } from './results.ts';
import { type Server, withServer } from './server.ts';
import { openStage } from './stage.ts';
import { UsageError } from './usage-error.ts';

const delayMs = 1;
const withoutMeter =
  'There is no GNU time in PATH: memory is not measured. On Debian: "apt-get install time".';
class StoppedError extends Error {}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(usage);
  else await measureAll(options);
} catch (error) {
  if (error instanceof StoppedError) process.exitCode = 130;
  else if (error instanceof UsageError) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  } else throw error;
}

async function measureAll(options: Options): Promise<void> {
  requireInstalled();
  const stop = stopOnSignal();
  const work = await mkdtemp(join(tmpdir(), 'alteration-bench-'));
  try {
    process.stdout.write(renderReport(await measureIn(work, options, stop)));
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function measureIn(work: string, options: Options, stop: AbortSignal): Promise<Results> {
  const { contestants, trials, crowd, purpose } = options;
  const scratch = join(work, 'scratch');
  const files = join(work, 'files');
  await Promise.all([mkdir(scratch), layPackages(files)]);
  const meter = await openMeter(scratch, stop);
  if (meter.kind === 'none') onProgress(withoutMeter);
  return withServer(join(work, 'server'), (server) =>
    withDelayProxy(server.url, delayMs, async (proxy) => {
      const session = await describeSession(options, meter, server, proxy);
      const keeper = purpose === 'record' ? await openRecord(session) : openSketch(session);
      const stage = openStage(server, meter, files);
      for await (const trial of playTrials(trials, contestants, { stage, proxy, crowd, onProgress })) {
        await keeper.keep(trial);
      }
      return keeper.kept();
    }),
  );
}

/** The contestants' files import packages and are modules, as in a product. */
async function layPackages(files: string): Promise<void> {
  await mkdir(files);
  await symlink(fileOfPackage(''), join(files, 'node_modules'));
  await writeFile(join(files, 'package.json'), '{ "private": true, "type": "module" }\n');
}

async function describeSession(
  { contestants, rounds, crowd }: Options,
  { kind }: Meter,
  { url, facts }: Server,
  proxy: DelayProxy,
): Promise<Session> {
  const sample = generateAlterations(100);
  return {
    began: new Date().toISOString(),
    machine: readMachine(),
    node: process.versions.node,
    meter: kind,
    server: facts,
    rounds,
    statements: sample.flatMap(({ statements }) => statements).length / sample.length,
    network: await measureNetwork(url, proxy, delayMs),
    crowd,
    contestants: contestants.map(readContestantFacts),
  };
}

/** Ctrl-C ends what runs, and then the server, whose folder is removed. */
function stopOnSignal(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stop.abort(new StoppedError(signal)));
  }
  return stop.signal;
}

function onProgress(message: string): void {
  const minutes = Math.floor(performance.now() / 60_000);
  process.stderr.write(`${String(minutes).padStart(3)} min: ${message}\n`);
}

/** Says what has to be done first. */
function requireInstalled(): void {
  if (!existsSync(fileOfPackage('knex'))) {
    throw new UsageError('The contestants are not installed: run "npm --prefix bench ci" first.');
  }
  findPsql();
  if (!existsSync(oursProgram)) throw new UsageError('There is no dist/bin.js: run "npm run build" first.');
}
