// npm run bench -- [--quick] [--only …] [--contestants …] [--rounds n]
// Measures this package, its peers and their floors in one run on one server.

import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fileOfPackage } from './contestants/contestant.ts';
import { oursProgram } from './contestants/ours.ts';
import { findPsql } from './contestants/psql.ts';
import { type DelayProxy, withDelayProxy } from './delay-proxy.ts';
import { measureNetwork, readContestantFacts, readMachine } from './facts.ts';
import { generateAlterations } from './generate.ts';
import { openMeter } from './measure.ts';
import { type Options, parseOptions, usage } from './options.ts';
import { writeIntoPage } from './page.ts';
import { playTrials } from './play-trials.ts';
import { renderReport } from './report.ts';
import type { Results } from './results.ts';
import { type Server, withServer } from './server.ts';
import { openStage } from './stage.ts';
import { UsageError } from './usage-error.ts';

const delayMs = 1;
const page = fileURLToPath(new URL('../docs/performance.md', import.meta.url));
const resultsFolder = fileURLToPath(new URL('results', import.meta.url));

class StoppedError extends Error {}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options === undefined) process.stdout.write(usage);
  else await keepResults(await measureAll(options), options);
} catch (error) {
  if (error instanceof StoppedError) process.exitCode = 130;
  else if (error instanceof UsageError) {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 2;
  } else throw error;
}

async function measureAll(options: Options): Promise<Results> {
  requireInstalled();
  const stop = stopOnSignal();
  const work = await mkdtemp(join(tmpdir(), 'alteration-bench-'));
  try {
    return await measureIn(work, options, stop);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function measureIn(work: string, options: Options, stop: AbortSignal): Promise<Results> {
  const { contestants, trials, rounds, crowd } = options;
  const scratch = join(work, 'scratch');
  const files = join(work, 'files');
  await Promise.all([mkdir(scratch), layPackages(files)]);
  const meter = await openMeter(scratch, stop);
  return withServer(join(work, 'server'), (server) =>
    withDelayProxy(server.url, delayMs, async (proxy) => {
      const stage = openStage(server, meter, files);
      const facts = await readFacts(options, server, proxy);
      return {
        ...facts,
        trials: await playTrials(trials, contestants, rounds, { stage, proxy, crowd, onProgress }),
      };
    }),
  );
}

/** The contestants' files import packages and are modules, as in a product. */
async function layPackages(files: string): Promise<void> {
  await mkdir(files);
  await symlink(fileOfPackage(''), join(files, 'node_modules'));
  await writeFile(join(files, 'package.json'), '{ "private": true, "type": "module" }\n');
}

async function readFacts(
  { contestants, rounds, crowd }: Options,
  { url, facts }: Server,
  proxy: DelayProxy,
): Promise<Omit<Results, 'trials'>> {
  const sample = generateAlterations(100);
  return {
    schemaVersion: 1,
    date: new Date().toISOString().slice(0, 10),
    machine: readMachine(),
    node: process.versions.node,
    server: facts,
    rounds,
    statements: sample.flatMap(({ statements }) => statements).length / sample.length,
    network: await measureNetwork(url, proxy, delayMs),
    crowd,
    contestants: contestants.map(readContestantFacts),
  };
}

async function keepResults(results: Results, { extent }: Options): Promise<void> {
  const report = renderReport(results);
  await mkdir(resultsFolder, { recursive: true });
  const file = join(resultsFolder, extent === 'complete' ? 'latest.json' : 'partial.json');
  await writeFile(file, `${JSON.stringify(results, undefined, 2)}\n`);
  if (extent === 'complete') await writeIntoPage(page, report);
  else process.stdout.write(report);
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
  process.stderr.write(`${message}\n`);
}

/** Says what has to be done first. */
function requireInstalled(): void {
  if (!existsSync(fileOfPackage('knex'))) {
    throw new UsageError('The contestants are not installed: run "npm --prefix bench ci" first.');
  }
  findPsql();
  if (!existsSync(oursProgram)) throw new UsageError('There is no dist/bin.js: run "npm run build" first.');
}
