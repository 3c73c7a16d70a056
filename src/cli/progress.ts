import { renderDuration } from '../core/duration.ts';
import { now } from '../now.ts';
import { logEvent, type RunEvent } from '../operations/events.ts';
import type { OutputStream } from './host.ts';
import { type Level, levels, logLineOf } from './log-line.ts';
import type { Palette } from './palette.ts';
import { renderActivity, renderEvent, renderLeak } from './render-event.ts';
import { wrapText } from './wrap-text.ts';

/** Where events and other lines of a run go. */
export interface Progress {
  readonly onEvent: (event: RunEvent) => void;
  /** What is going on now, where no event tells it. */
  readonly onActivity: (text: string) => void;
  /** What stays on the screen beside the events. */
  readonly onFact: (text: string) => void;
  /** What the user must know at once. */
  readonly onNotice: (text: string) => void;
  /** Takes the live line away; what is written next begins on an empty line. */
  readonly end: () => void;
}

/** One line of JSON an event, for machines. */
export function createLogProgress(stream: OutputStream, level: Level): Progress {
  const lineOf = (own: Level) => (facts: object, message: string) => {
    if (levels.indexOf(own) >= levels.indexOf(level)) stream.write(logLineOf(own, facts, message));
  };
  const logger = { debug: lineOf('debug'), info: lineOf('info'), warn: lineOf('warn') };
  return {
    onEvent: (event) => logEvent(logger, event),
    onActivity: (text) => logger.info({}, text),
    onFact: (text) => logger.info({}, text),
    onNotice: (text) => logger.warn({}, text),
    end: () => undefined,
  };
}

/** Lines for people; on a terminal with a live line below them that tells what runs now, and for how long. */
export async function createPrettyProgress(
  stream: OutputStream,
  palette: Palette,
  level: Level,
): Promise<Progress> {
  const quiet = levels.indexOf(level) > levels.indexOf('info');
  const live = stream.isTTY && !quiet ? await createLiveLine(stream, palette) : undefined;
  const fitted = (line: string) => (stream.isTTY ? wrapText(line, widthOf(stream)) : line);
  const keep = (line: string | undefined) => {
    if (line === undefined || quiet) return;
    live?.clear();
    stream.write(`${line}\n`);
  };
  return {
    onEvent: (event) => {
      const line = renderEvent(event, palette);
      keep(line && sentences.has(event.type) ? fitted(line) : line);
      if (level === 'debug' && event.type === 'leaked') keep(renderLeak(event, palette));
      if (event.type === 'finished') live?.clear();
      const activity = renderActivity(event);
      if (activity === undefined) return;
      if (live) live.show(activity, event.type === 'started');
      else if (waits.has(event.type)) keep(activity);
    },
    onFact: (text) => keep(palette.quiet(text)),
    onActivity: (text) => (live ? live.show(text, false) : keep(text)),
    onNotice: (text) => {
      const write = () => stream.write(`${fitted(palette.notice(text))}\n`);
      if (live) live.interrupt(write);
      else write();
    },
    end: () => live?.end(),
  };
}

/** What is told also where there is no live line: why nothing goes on. */
const waits: ReadonlySet<RunEvent['type']> = new Set(['connect-waiting', 'lock-waiting']);

/** Events that are told in sentences, which may be broken between words; a file name may not. */
const sentences: ReadonlySet<RunEvent['type']> = new Set(['blocked', 'retrying']);

/** A terminal without a size says 0. */
function widthOf({ columns }: OutputStream): number {
  return columns || 80;
}

const frames = '⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏';

async function createLiveLine(stream: OutputStream, palette: Palette) {
  const { createLogUpdate } = await import('log-update');
  // The stream is the process's own where it is a terminal: log-update asks it for its size.
  const update = createLogUpdate(stream as unknown as NodeJS.WritableStream, { showCursor: true });
  let text = '';
  let since = now();
  let frame = 0;
  const draw = () => {
    if (text === '') return;
    frame = (frame + 1) % frames.length;
    const elapsed = renderDuration(now() - since);
    const room = Math.max(10, widthOf(stream) - elapsed.length - 5);
    const shown = text.length > room ? `${text.slice(0, room - 1)}…` : text;
    update(`${palette.notice(frames.charAt(frame))} ${shown}  ${palette.quiet(elapsed)}`);
  };
  let timer: NodeJS.Timeout | undefined;
  const clear = () => {
    text = '';
    update.clear();
  };
  return {
    show: (activity: string, fresh: boolean) => {
      if (fresh || text === '') since = now();
      text = activity;
      timer ??= setInterval(draw, 100).unref(); // a script that waits for nothing must be noticed, spinner or not
      draw();
    },
    clear,
    /** Lets something be written above the live line. */
    interrupt: (write: () => void) => {
      update.clear();
      write();
      draw();
    },
    end: () => {
      clearInterval(timer);
      timer = undefined; // after a question there may be more to show
      clear();
    },
  };
}
