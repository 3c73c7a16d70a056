import { renderDuration } from '../core/duration.ts';
import type { Blocker } from '../core/errors.ts';
import { renderVersionInFileName } from '../core/version.ts';
import type { DeployReport, Listed, StatusReport } from '../operations/reports.ts';
import type { Palette } from './palette.ts';

// What reports, events and failures say alike.

/** `app at db.example.com:5432 as deployer (PostgreSQL 18.4), through a transaction pooler`. */
export function renderDatabase({
  host,
  port,
  database,
  role,
  serverVersion,
  pooler,
}: StatusReport['database']): string {
  const where = host === undefined ? '' : ` at ${host}${port === undefined ? '' : `:${port}`}`;
  const between = pooler === 'transaction' ? ', through a transaction pooler' : '';
  return `${database}${where} as ${role} (PostgreSQL ${serverVersion.split(' ')[0]})${between}`;
}

/** `session 4711 ("web" as app, idle in transaction for 31 s, AccessShareLock on public.users): select …`. */
export function renderBlocker(blocker: Blocker): string {
  const { pid, applicationName, role, state, transactionAgeMs, lockMode, relation, query } = blocker;
  const who = [applicationName && `"${applicationName}"`, role && `as ${role}`].filter(Boolean).join(' ');
  const age = transactionAgeMs === undefined ? '' : ` for ${renderDuration(transactionAgeMs)}`;
  const facts = [
    who,
    state ? `${state}${age}` : '',
    lockMode ? `${lockMode}${relation ? ` on ${relation}` : ''}` : '',
  ];
  const known = facts.filter(Boolean).join(', ');
  const session = pid === 0 ? 'a prepared transaction' : `session ${pid}`;
  return `${session}${known ? ` (${known})` : ''}${query ? `: ${query}` : ''}`;
}

/** `session 4711 ("alteration deploy latest" from 10.0.0.7, connected since 2026-11-22 08:00:00 UTC)`. */
export function renderHolder({
  pid,
  applicationName,
  host,
  since,
}: NonNullable<StatusReport['lock']>): string {
  const facts = [
    `"${applicationName}"${host ? ` from ${host}` : ''}`,
    ...(since ? [`connected since ${renderMoment(since)}`] : []),
  ];
  return `held by session ${pid} (${facts.join(', ')})`;
}

export function countOf(count: number): string {
  return count === 1 ? '1 alteration' : `${count} alterations`;
}

/** `3 applied, 1 pending; the database is at 1.4.0.` */
export function summariseStates(alterations: readonly Listed[], version: string | null): string {
  const states = ['applied', 'pending', 'late', 'missing', 'edited'] as const;
  const counts = states.flatMap((state) => {
    const count = alterations.filter((one) => one.state === state).length;
    return count > 0 ? [`${count} ${state}`] : [];
  });
  return `${counts.join(', ')}; the database is ${atVersion(version)}.`;
}

/** What has a row and no file, a line each. */
export function renderMissing(missing: DeployReport['missing'], palette: Palette): string {
  const names = missing
    .map(({ version, id, name }) => `  ${renderVersionInFileName(version)}-${id}-${name}`)
    .join('\n');
  return `${palette.notice('Applied, but the file is missing')}:\n${names}`;
}

/** `2026-11-22 08:00:00 UTC`. */
export function renderMoment(iso: string): string {
  return `${iso.slice(0, 19).replace('T', ' ')} UTC`;
}

export function atVersion(version: string | null): string {
  return version === null ? 'at no version' : `at ${version}`;
}

export function isOrAre(count: number): string {
  return count === 1 ? 'is' : 'are';
}
