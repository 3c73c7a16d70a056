import { BackendTerminatedError, BackendTerminatedUnexpectedlyError } from '@slonik/errors';
import { type DatabaseFailure, DatabaseRefusedError } from '../core/errors.ts';

/** What PostgreSQL said, wherever in the chain of causes it stands; undefined when it said nothing. */
export function findDatabaseFailure(error: unknown): DatabaseFailure | undefined {
  // No class of PostgreSQL's begins with E; system codes of five letters do, such as EPIPE.
  const source = causes(error).find((cause) => /^[0-9A-DF-Z][0-9A-Z]{4}$/.test(text(cause, 'code') ?? ''));
  if (!source) return undefined;
  const position = Number(text(source, 'position'));
  const optional = {
    detail: text(source, 'detail'),
    hint: text(source, 'hint'),
    sqlState: text(source, 'code'),
  };
  return {
    message: text(source, 'message') ?? '',
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value)),
    ...(position > 0 ? { position } : {}),
  };
}

/** SQLSTATE or system code nearest to the error, such as `28P01` or `ECONNREFUSED`. */
export function findErrorCode(error: unknown): string | undefined {
  return causes(error)
    .map((cause) => text(cause, 'code'))
    .find(Boolean);
}

/** Whether a slonik driver says that the session is gone. A script's own lost connections are another matter. */
export function isSessionLoss(error: unknown): boolean {
  return causes(error).some(
    (cause) => cause instanceof BackendTerminatedError || cause instanceof BackendTerminatedUnexpectedlyError,
  );
}

/** A privilege that the runner's own queries miss; what scripts miss is told as their failure. */
export function describeDenial(error: unknown): DatabaseRefusedError | undefined {
  const failure = findDatabaseFailure(error);
  if (failure?.sqlState !== '42501') return undefined;
  return new DatabaseRefusedError(
    `The role of this connection may not keep the history: ${failure.message}.`,
    {
      hint: 'Grant it what is missing: all on the history table, and create on its schema for the first deploy. To bring an older table up to date it must own it.',
      cause: error,
    },
  );
}

/** The first message in the chain that says something; an AggregateError's own is empty. */
export function findMessage(error: unknown): string {
  return (
    causes(error)
      .map((cause) => text(cause, 'message'))
      .find(Boolean) ?? String(error)
  );
}

function causes(error: unknown): readonly object[] {
  const chain: object[] = [];
  const queue: unknown[] = [error];
  while (queue.length > 0) {
    const current = queue.shift();
    if (typeof current !== 'object' || current === null || chain.includes(current)) continue;
    chain.push(current);
    if ('cause' in current) queue.push(current.cause);
    if (current instanceof AggregateError) queue.push(...current.errors);
  }
  return chain;
}

function text(source: object, key: string): string | undefined {
  const value = key in source ? (source as Record<string, unknown>)[key] : undefined; // `in` has just shown the key
  return typeof value === 'string' ? value : undefined;
}
