// What the results depend on and a reader has to know.

import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem, type } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Contestant, fileOfPackage } from './contestants/contestant.ts';
import type { DelayProxy } from './delay-proxy.ts';
import { median } from './median.ts';
import type { ContestantFacts, NetworkFacts, Session } from './results.ts';
import { withClient } from './server.ts';

const pings = 200;
const ownManifest = fileURLToPath(new URL('../package.json', import.meta.url));

export function readMachine(): Session['machine'] {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown processor',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    os: `${type()} ${release()}`,
  };
}

export function readContestantFacts(contestant: Contestant): ContestantFacts {
  const { name, kind, note, transactions, lock, floor, package: installed } = contestant;
  const facts = { name, kind, note, transactions, lock, ...(floor === undefined ? {} : { floor }) };
  if (kind === 'ours') return { ...facts, version: readVersion(ownManifest) };
  if (installed === undefined) return facts;
  return { ...facts, version: `${installed} ${readVersion(fileOfPackage(`${installed}/package.json`))}` };
}

function readVersion(manifest: string): string {
  if (!existsSync(manifest)) return 'not installed'; // there is none for this platform
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { readonly version: string };
  return version;
}

/** What the proxy really adds: what the machine does between a timer and a socket is in it. */
export async function measureNetwork(url: string, proxy: DelayProxy, delayMs: number): Promise<NetworkFacts> {
  const directRoundTripMs = await ping(url);
  return { delayMs, directRoundTripMs, roundTripMs: await ping(proxy.through(url)) };
}

function ping(url: string): Promise<number> {
  return withClient(url, async (client) => {
    const samples: number[] = [];
    for (let count = 0; count < pings; count += 1) {
      const began = performance.now();
      await client.query('select');
      samples.push(performance.now() - began);
    }
    return median(samples);
  });
}
