import { setTimeout as pause } from 'node:timers/promises';
import type { Attack, KillKind } from './plans.ts';
import type { ChaosRunner } from './runner.ts';

/** A kill that has met its runner alive. */
export interface Kill {
  readonly kind: KillKind | 'restart';
  /** What the runner had just told, or `random instant`. */
  readonly moment: string;
}

/** What an attack can do that a signal cannot. */
export interface Weapons {
  /** Terminates a session of the runner; tells whether there was one. */
  readonly terminate: (session: number) => Promise<boolean>;
  /** Breaks the runner's connections; tells whether there were any. */
  readonly cut: () => boolean;
}

/** Waits for the moment of the attack, and strikes; tells the kill unless the runner was gone by then. */
export async function attackRunner(
  runner: ChaosRunner,
  attack: Attack,
  weapons: Weapons,
): Promise<Kill | undefined> {
  const moment = await runner.reach(attack.moment);
  if (moment === undefined) return undefined;
  return (await strike(runner, attack, weapons)) ? { kind: attack.kind, moment } : undefined;
}

async function strike(
  { process }: ChaosRunner,
  { kind, againMs, session }: Attack,
  { terminate, cut }: Weapons,
): Promise<boolean> {
  if (kind === 'terminate') return terminate(session);
  if (kind === 'cut') return cut();
  if (kind !== 'SIGTERM twice') return process.kill(kind);
  const struck = process.kill('SIGTERM');
  await pause(againMs);
  process.kill('SIGTERM');
  return struck;
}
