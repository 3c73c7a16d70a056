// Where contestants play: their files, and databases that are empty or have everything applied.

import { join } from 'node:path';
import { type Content, readContent, readEverything, readReference } from './content.ts';
import type { Action, CommandLine, Contestant, Place } from './contestants/contestant.ts';
import { generateAlterations } from './generate.ts';
import type { Meter, ProcessRun } from './measure.ts';
import type { Server } from './server.ts';

/** A contestant did not do what it was asked for: the sentence says what, and it is measured no further. */
export class ContestantFailure extends Error {}

/** A place whose alterations are all applied. */
export interface AppliedPlace extends Place {
  /** As it was when the last one had been applied. */
  readonly everything: string;
}

export interface Stage {
  /** A new database, and files. It is dropped when the work is over. */
  withEmpty<T>(contestant: Contestant, size: number, work: (place: Place) => Promise<T>): Promise<T>;
  /**
   * A database that the contestant has brought to the newest alteration; the same one each time. It goes on where its
   * longest shorter history ends, in a copy of that database.
   */
  openApplied(contestant: Contestant, size: number): Promise<AppliedPlace>;
  /** Runs the process of an action and throws ContestantFailure where it fails. */
  run(contestant: Contestant, action: Action, place: Place): Promise<ProcessRun>;
  /** Throws ContestantFailure where the database is not what the alterations make of it. */
  verifyApplied(contestant: Contestant, size: number, place: Place): Promise<void>;
  /** Throws ContestantFailure where the database is not as it was. */
  verifyUnchanged(place: AppliedPlace): Promise<void>;
}

// One transaction holds locks on everything that it has made: with PostgreSQL's own limit not much more than this goes
// into one. Products get there release by release, too.
const largestDeploy = 1_000;
const keptOutput = 300;

/** @param folder For the files; a folder of the benchmark's own. */
export function openStage(server: Server, meter: Meter, folder: string): Stage {
  let databases = 0;
  const written = new Map<string, Promise<string>>();
  const applied = new Map<Contestant, Map<number, Promise<AppliedPlace>>>();
  const references = new Map<number, Promise<Content>>();

  const newDatabase = (template?: string) => {
    databases += 1;
    return server.createDatabase(`bench_${databases}`, template);
  };
  const dropDatabase = (url: string) => server.dropDatabase(nameOf(url));
  const writeFiles = (contestant: Contestant, size: number) =>
    once(written, `${contestant.name} ${size}`, async () => {
      const own = join(folder, contestant.name, String(size));
      await contestant.write(own, generateAlterations(size));
      return own;
    });
  const readReferenceOf = (size: number) =>
    once(references, size, async () => {
      const url = await newDatabase();
      const content = await readReference(url, generateAlterations(size));
      await dropDatabase(url);
      return content;
    });

  const stage: Stage = {
    async withEmpty(contestant, size, work) {
      const place = { folder: await writeFiles(contestant, size), url: await newDatabase() };
      try {
        await server.settle();
        return await work(place);
      } finally {
        await dropDatabase(place.url);
      }
    },
    openApplied(contestant, size) {
      if (contestant.guestOf) return stage.openApplied(contestant.guestOf, size);
      const own = applied.get(contestant) ?? new Map<number, Promise<AppliedPlace>>();
      applied.set(contestant, own);
      return once(own, size, async () => {
        const shorter = Math.max(
          0,
          ...[...own.keys()].filter((other) => other < size && canGoOn(contestant)),
        );
        const template = await own.get(shorter);
        const url = await newDatabase(template && nameOf(template.url));
        await server.hurry(nameOf(url), async () => {
          for (const part of splitSize(contestant, shorter, size)) {
            await stage.run(contestant, 'deploy', { folder: await writeFiles(contestant, part), url });
          }
        });
        const place = { folder: await writeFiles(contestant, size), url };
        await stage.verifyApplied(contestant, size, place);
        await server.settle();
        return { ...place, everything: await readEverything(url) };
      });
    },
    async run(contestant, action, place) {
      const command: CommandLine | undefined = contestant.actions[action]?.(place);
      if (command === undefined) throw new ContestantFailure(`It has no ${action}.`);
      const run = await meter.run(command);
      if (run.exitCode !== 0) {
        throw new ContestantFailure(
          `${action}: exit code ${run.exitCode ?? 'none'}: ${tellOutput(run.output)}`,
        );
      }
      return run;
    },
    async verifyApplied(contestant, size, { url }) {
      const reference = await readReferenceOf(size);
      const content = await readContent(url, contestant).catch((error: Error) => {
        throw new ContestantFailure(`Its history cannot be read after a deploy: ${error.message}`);
      });
      if (content.applied !== reference.applied) {
        throw new ContestantFailure(
          `${content.applied} rows in its history after a deploy of ${reference.applied}.`,
        );
      }
      if (content.digest !== reference.digest) {
        throw new ContestantFailure('After a deploy, the database is not what the alterations make of it.');
      }
    },
    async verifyUnchanged({ url, everything }) {
      if ((await readEverything(url)) !== everything) {
        throw new ContestantFailure('It has changed a database in which nothing was left to do.');
      }
    },
  };
  return stage;
}

function once<K, V>(known: Map<K, Promise<V>>, key: K, make: () => Promise<V>): Promise<V> {
  const existing = known.get(key) ?? make();
  known.set(key, existing);
  return existing;
}

function nameOf(url: string): string {
  return new URL(url).pathname.slice(1);
}

/** Whether a deploy applies no more than what is pending. A floor does not look. */
function canGoOn({ kind }: Contestant): boolean {
  return kind !== 'floor';
}

/** How far a history is after each deploy on its way from one size to another. */
function splitSize({ transactions }: Contestant, from: number, to: number): readonly number[] {
  if (transactions !== 'whole deploy') return [to];
  const deploys = Math.ceil((to - from) / largestDeploy);
  return Array.from({ length: deploys }, (_, index) => Math.min(to, from + (index + 1) * largestDeploy));
}

function tellOutput(output: string): string {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  const patterns = [/(?:Error|ERROR|FATAL)(?: \[\w+\])?: /, /error|fail/i, /./];
  const [telling] = patterns.flatMap((pattern) => lines.find((line) => pattern.test(line)) ?? []);
  return telling?.trim().slice(0, keptOutput) ?? 'it wrote nothing';
}
