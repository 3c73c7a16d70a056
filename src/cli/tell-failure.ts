import { AlterationError, UsageError } from '../core/errors.ts';
import { exitCodeOf, exitCodes } from './exit-code.ts';
import { hidePasswords, hidePasswordsIn } from './hide-passwords.ts';
import type { Host } from './host.ts';
import { choosePalette } from './palette.ts';
import { createLogger } from './progress.ts';
import { describeError, renderError } from './report-error.ts';
import { settingDefinitions } from './settings.ts';
import { wrapText } from './wrap-text.ts';

export type LogFormat = 'pretty' | 'json';

/** What decides how a failure is told. */
export interface Telling {
  /** The one that failed; null where none was understood. */
  readonly command: string | null;
  /** Whether stdout is to hold a document. */
  readonly json: boolean;
  readonly logFormat: LogFormat;
  /** As the user names it: places in it are shown with it. */
  readonly folder: string;
  readonly color: boolean | undefined;
}

/** Tells a failure: on stderr in words or as a log line, on stdout as a document where one was asked for. Returns the exit code. */
export async function tellFailure(error: unknown, host: Host, telling: Telling): Promise<number> {
  const { command, json, logFormat } = telling;
  const shown = error instanceof UsageError && !json ? withHelpHint(error, command) : error;
  if (logFormat === 'json') await logFailure(shown, host, command);
  else writeFailure(shown, host, telling);
  if (json) {
    const document = hidePasswordsIn(describeError(error, command));
    host.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
  }
  return exitCodeOf(error);
}

/** Tells, on stderr alone, what failed when the command was done: its result stands. Returns the exit code. */
export async function tellLateFailure({ message, stack }: Error, host: Host): Promise<number> {
  const { logFormat } = guessTelling(host);
  const text = `What was asked for is done; after that: ${message}`;
  if (logFormat === 'json') await logFailure(Object.assign(new Error(text), { stack }), host, null);
  else host.stderr.write(`✖ ${hidePasswords(text)}\n`);
  return exitCodes.defect;
}

/** The log format that was asked for, or that suits stderr. */
export function chooseLogFormat(asked: LogFormat | undefined, { stderr }: Host): LogFormat {
  return asked ?? (stderr.isTTY ? 'pretty' : 'json');
}

/** How to tell a failure of a command line whose settings cannot be read: as far as can be seen without them. */
export function guessTelling(host: Host): Omit<Telling, 'command'> {
  const { argv, env } = host;
  const { flag } = settingDefinitions.logFormat;
  const [option = ''] = flag.split(' ');
  const index = argv.findLastIndex((argument) => argument.split('=')[0] === option);
  const given = index === -1 ? env['ALTERATION_LOG_FORMAT'] : (argv[index]?.split('=')[1] ?? argv[index + 1]);
  return {
    json:
      argv.includes(settingDefinitions.json.flag) ||
      /^(?:1|true|yes|on)$/i.test(env['ALTERATION_JSON'] ?? ''),
    logFormat: chooseLogFormat(given === 'pretty' || given === 'json' ? given : undefined, host),
    folder: settingDefinitions.dir.shownDefault,
    color: undefined,
  };
}

function writeFailure(error: unknown, { env, stderr }: Host, { folder, color }: Telling): void {
  const text = hidePasswords(renderError(error, folder, choosePalette(color, env, stderr)));
  stderr.write(`${stderr.isTTY ? wrapText(text, stderr.columns || 80) : text}\n`);
}

/** Whatever the log level: a failure that is not told would be a riddle. */
async function logFailure(error: unknown, { stderr }: Host, command: string | null): Promise<void> {
  const logger = await createLogger(stderr, 'error');
  const isDefect = !(error instanceof AlterationError) && error instanceof Error;
  const { message, ...facts } = describeError(error, command).error;
  const line = { command, ...facts, ...(isDefect ? { stack: error.stack } : {}) };
  logger.error(hidePasswordsIn(line), hidePasswords(message));
}

function withHelpHint(error: UsageError, command: string | null): UsageError {
  if (error.hint) return error;
  return new UsageError(error.message, {
    hint: `See alteration ${command ? `${command} ` : ''}--help.`,
    problems: error.problems,
  });
}
