import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { runCli } from '../support/cli.ts';
import type { ChaosAlteration } from './alteration-texts.ts';
import type { Arena } from './arena.ts';
import {
  armFaults,
  type ChaosDatabase,
  createChaosDatabase,
  dropChaosDatabase,
  readPicture,
  urlOf,
} from './databases.ts';
import type { Figures } from './figures.ts';
import { type ChaosHistory, createHistory } from './histories.ts';
import { planRounds, type Round, type Ways } from './plans.ts';
import { describeRunner, playRound, Violation } from './round.ts';

export interface PlayOptions {
  readonly seed: number;
  /** Of the history: 1 is the first that the seed has. */
  readonly number: number;
  readonly ways: Ways;
  readonly arena: Arena;
  readonly figures: Figures;
  /** After how many kills no other round is begun. */
  readonly wanted: number;
  /** When aborted, it ends with the round that is under way, whatever comes of that. */
  readonly stop: AbortSignal;
}

/** Plays all rounds of a history; tells what went wrong, and then keeps its folder. */
export async function playHistory(options: PlayOptions): Promise<string | undefined> {
  const { seed, number, ways, arena, figures, wanted, stop } = options;
  const history = createHistory(seed, number);
  const play = await openPlay(history, arena);
  for (const [index, round] of planRounds(seed, history, ways).entries()) {
    if (stop.aborted || figures.kills() >= wanted) break;
    try {
      await prepareRound(round, index, play);
      await playRound(round, { ...play, arena, figures, ...(await expectationsOf(round, play, arena)) });
    } catch (error) {
      if (stop.aborted) break; // the signal that stops it may have met the runners too
      const where = `seed ${seed}, history ${number}, round ${index + 1} (${round.direction}), folder ${play.root}`;
      return `${where}\n${describe(error)}\n\nThe server's log ends with:\n${await arena.describe()}`;
    }
  }
  await closePlay(play, arena);
  figures.countHistory();
  return undefined;
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (!(error instanceof Violation)) return error.stack ?? error.message;
  return [`violated:\n${error.message}`, ...error.runners.map(describeRunner)].join('\n\n');
}

interface Play {
  readonly history: ChaosHistory;
  readonly root: string;
  readonly disturbed: ChaosDatabase;
  readonly calm: ChaosDatabase;
  /** What the database was before the first deploy. */
  readonly beginning: readonly string[];
}

async function openPlay(history: ChaosHistory, { server }: Arena): Promise<Play> {
  const root = await mkdtemp(join(tmpdir(), 'alteration-chaos-'));
  await symlink(resolve('node_modules'), join(root, 'node_modules'));
  await writeFile(join(root, 'package.json'), '{ "type": "module" }');
  await mkdir(join(root, 'alterations'));
  const create = (mood: 'calm' | 'disturbed') =>
    createChaosDatabase(server.url, `chaos_${history.number}_${mood}`, mood, history.releases.flat());
  const [disturbed, calm] = [await create('disturbed'), await create('calm')];
  return { history, root, disturbed, calm, beginning: await readPicture(server.url, calm) };
}

async function closePlay({ root, disturbed, calm }: Play, { server }: Arena): Promise<void> {
  for (const database of [disturbed, calm]) await dropChaosDatabase(server.url, database);
  await rm(root, { recursive: true, force: true });
}

function alterationsOf({ releases }: Round, { history }: Play): readonly ChaosAlteration[] {
  return history.releases.slice(0, releases).flat();
}

/** Puts the releases into the folder, and has the effects counted anew where a rollback has undone them. */
async function prepareRound(round: Round, index: number, play: Play): Promise<void> {
  const { root, disturbed, history } = play;
  for (const { files } of alterationsOf(round, play)) {
    for (const [name, text] of Object.entries(files)) await writeFile(join(root, 'alterations', name), text);
  }
  await armFaults(disturbed, history.releases[index] ?? []); // the first rounds bring a release each
  await disturbed.query(
    `delete from chaos.effects where exists (select from chaos.effects where direction = 'down')`,
  );
}

async function expectationsOf(round: Round, play: Play, { server }: Arena) {
  const alterations = alterationsOf(round, play);
  if (round.direction === 'down') return { alterations, expected: play.beginning };
  const { exitCode, stderr } = await runCli(['deploy', 'latest', '--json'], {
    env: { DB_URL: urlOf(server.url, play.calm.name) },
    cwd: play.root,
  });
  if (exitCode !== 0) throw new Error(`The deploy that nobody disturbs fails:\n${stderr}`);
  return { alterations, expected: await readPicture(server.url, play.calm) };
}
