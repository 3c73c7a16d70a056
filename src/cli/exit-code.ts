import { AlterationError, StoppedError } from '../core/errors.ts';

/** What the process ends with; made for a Kubernetes Job's podFailurePolicy. */
export const exitCodes = {
  done: 0,
  defect: 1,
  usage: 2,
  pending: 3,
  failed: 4,
  halfDone: 5,
  lockHeld: 6,
  sessionLost: 7,
  integrity: 8,
  unreachable: 9,
  interrupted: 130,
  terminated: 143,
} as const;

const byErrorCode: Readonly<Record<string, number>> = {
  usage: exitCodes.usage,
  configuration: exitCodes.usage,
  'invalid-target': exitCodes.usage,
  folder: exitCodes.usage,
  'rollback-refused': exitCodes.usage,
  'baseline-refused': exitCodes.usage,
  'database-refused': exitCodes.usage,
  'alteration-unusable': exitCodes.failed,
  'alteration-failed': exitCodes.failed,
  'alteration-half-done': exitCodes.halfDone,
  'history-blocked': exitCodes.failed,
  'lock-held': exitCodes.lockHeld,
  overtaken: exitCodes.lockHeld,
  'session-lost': exitCodes.sessionLost,
  edited: exitCodes.integrity,
  'strict-order': exitCodes.integrity,
  history: exitCodes.integrity,
  'database-unreachable': exitCodes.unreachable,
};

/** The exit code of a failure; anything that is not foreseen is a defect of ours. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof StoppedError)
    return error.signal === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated;
  return error instanceof AlterationError ? (byErrorCode[error.code] ?? exitCodes.defect) : exitCodes.defect;
}
