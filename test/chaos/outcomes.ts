import type { CliResult } from '../support/cli.ts';
import type { ChaosAlteration } from './alteration-texts.ts';
import type { Kill } from './attack.ts';
import { patient, type RunnerPlan } from './plans.ts';

/** What a run ended with, and what was done to it. */
export interface FinishedRunner {
  readonly plan: RunnerPlan;
  readonly result: CliResult;
  readonly kill: Kill | undefined;
}

/** What may end runs of a wave besides what is done to each. */
export interface Circumstances {
  readonly restarted: boolean;
  /** Alterations that fail on purpose. */
  readonly failing: readonly ChaosAlteration[];
}

/** `0`, `143`, … or the signal that ended it. */
export function outcomeOf({ exitCode, signal }: CliResult): string {
  return String(exitCode ?? signal);
}

/** Tells what is wrong with how a run ended, and with what it said of it. */
export function judgeOutcome(runner: FinishedRunner, circumstances: Circumstances): string | undefined {
  const outcome = outcomeOf(runner.result);
  const allowed = allowedOutcomes(runner, circumstances);
  if (!allowed.includes(outcome)) return `ended with ${outcome}, and only ${allowed.join(', ')} may be`;
  if (runner.result.signal !== null) return undefined; // it could not say anything
  const document = readDocument(runner.result.stdout);
  if (document === undefined) return 'has not written one document on stdout';
  const told = document.error?.exitCode ?? 0;
  if (String(told) !== outcome) return `ended with ${outcome}, and says ${told}`;
  return told === 4 || told === 5 ? judgeFailure(document.error, circumstances) : undefined;
}

// A signal may come before the process listens to it, and when all is done already.
const byKill: Readonly<Record<Kill['kind'], readonly string[]>> = {
  SIGKILL: ['SIGKILL'],
  SIGTERM: ['143', 'SIGTERM'],
  'SIGTERM twice': ['143', 'SIGTERM'],
  SIGINT: ['130', 'SIGINT'],
  terminate: ['7', '9'],
  cut: ['7', '9'],
  restart: ['7', '9'],
};

function allowedOutcomes(
  { plan, kill }: FinishedRunner,
  { restarted, failing }: Circumstances,
): readonly string[] {
  return [
    '0',
    ...(failing.length > 0 ? ['4', '5'] : []),
    ...(plan.lockWait === patient ? [] : ['6']),
    ...(kill ? byKill[kill.kind] : []),
    ...(restarted ? byKill.restart : []),
  ];
}

interface Failure {
  readonly exitCode?: number;
  readonly alteration?: string;
  readonly database?: { readonly sqlState?: string };
}

function readDocument(stdout: string): { readonly error?: Failure } | undefined {
  try {
    return JSON.parse(stdout) as { error?: Failure }; // its schema has tests of its own
  } catch {
    return undefined;
  }
}

/** An alteration may fail in the way that it was made to, and in no other. */
function judgeFailure(failure: Failure | undefined, { failing }: Circumstances): string | undefined {
  const { alteration = '', database, exitCode } = failure ?? {};
  const expected = failing.find(({ id }) => alteration.includes(`-${id}-`))?.fault;
  const sqlState = expected?.kind === 'duplicates' ? '23505' : 'P0001';
  if (expected && database?.sqlState === sqlState && exitCode === expected.exitCode) return undefined;
  return `failed in "${alteration}" with ${database?.sqlState} (exit code ${exitCode}), which nobody has arranged`;
}
