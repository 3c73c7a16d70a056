import { renderDuration } from '../core/duration.ts';
import type { RunEvent } from '../operations/events.ts';
import type { Palette } from './palette.ts';
import { countOf, renderBlocker, renderDatabase, renderHolder } from './report-words.ts';

/** The line that stays on the screen for an event; undefined for one that is only shown while it lasts. */
export function renderEvent(event: RunEvent, palette: Palette): string | undefined {
  switch (event.type) {
    case 'connected':
      return palette.quiet(`Database  ${renderDatabase(event.database)}`);
    case 'planned':
      return palette.quiet(
        `Plan      ${countOf(event.total)} ${event.direction === 'up' ? 'to apply' : 'to roll back'}${event.late > 0 ? `, ${event.late} late` : ''}`,
      );
    case 'finished': {
      const sign = event.direction === 'up' ? '✔' : '↩';
      return `${palette.good(sign)} ${event.alteration}  ${palette.quiet(renderDuration(event.durationMs))}`;
    }
    case 'blocked':
      return `${palette.notice('⧗')} ${event.alteration}  ${palette.quiet(`blocked by ${event.blockers.map(renderBlocker).join('; ')}`)}`;
    case 'retrying':
      return `${palette.notice('↻')} ${event.alteration}  ${palette.quiet(`did not get its locks (${event.reason}); tried again in ${renderDuration(event.pauseMs)}`)}`;
    case 'taken-over':
      return palette.quiet(`- ${event.alteration}  done by another instance in the meantime`);
    case 'rest-edited':
      return palette.notice(`! ${event.alteration} was edited after the part of it that is done`);
    default:
      return undefined; // what is missing, renamed or accepted stands in the result
  }
}

/** What an alteration left in the session: of interest to its author alone. */
export function renderLeak(event: Extract<RunEvent, { type: 'leaked' }>, palette: Palette): string {
  return palette.quiet(`  ${event.alteration} left in the session, now reset: ${event.leaks.join(', ')}`);
}

/** What is going on now, on one line without colour; undefined when the event says nothing of that. */
export function renderActivity(event: RunEvent): string | undefined {
  switch (event.type) {
    case 'started':
      return `${event.index}/${event.total} ${event.alteration}${event.late ? ' (late)' : ''}`;
    case 'phase':
      return `${event.alteration} ${event.phase}`;
    case 'statement':
      return `${event.alteration} [${event.index}/${event.total}] ${event.summary}`;
    case 'connect-waiting':
      return event.reason.replace(/^The database at (\S+) cannot be reached: /, 'Waiting for $1: ');
    case 'lock-waiting':
      return event.holder ? `Waiting: the lock is ${renderHolder(event.holder)}` : 'Waiting for the lock';
    default:
      return undefined;
  }
}
