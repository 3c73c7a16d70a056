import { AlterationError, UsageError } from '../core/errors.ts';
import { chooseOutput, hostFor, type OutputKind, renderDocument } from './ci/output-kind.ts';
import { conclude } from './conclude.ts';
import { exitCodeOf, exitCodes } from './exit-code.ts';
import { hidePasswords, hidePasswordsIn } from './hide-passwords.ts';
import type { Host } from './host.ts';
import { chooseLogFormat, type LogFormat } from './log-format.ts';
import { logLineOf } from './log-line.ts';
import { choosePalette, createPalette } from './palette.ts';
import { describeError, renderError } from './report-error.ts';
import { flagOf, type Settings, settingDefinitions, variablesOf } from './settings.ts';
import { wrapText } from './wrap-text.ts';

/** What decides how a failure is told. */
export interface Telling {
  /** The one that failed; null where none was understood. */
  readonly command: string | null;
  /** Whether stdout is to hold a document. */
  readonly json: boolean;
  readonly logFormat: LogFormat;
  readonly output: OutputKind;
  /** As the user names it: places in it are shown with it. */
  readonly folder: string;
  readonly color: boolean | undefined;
}

/** Tells a failure: on stderr in words or as a log line, on stdout as a document where one was asked for. Returns the exit code. */
export async function tellFailure(error: unknown, host: Host, telling: Telling): Promise<number> {
  const { command, json, logFormat, output, folder } = telling;
  const log = hostFor(output, host);
  const shown = error instanceof UsageError && !json ? withHelpHint(error, command) : error;
  if (logFormat === 'json') logFailure(shown, log, command);
  else writeFailure(shown, log, telling);
  const document = hidePasswordsIn(describeError(error, command));
  if (json) host.stdout.write(`${renderDocument(document, output)}\n`);
  const exitCode = exitCodeOf(error);
  const text = renderError(shown, folder, createPalette('off'));
  await conclude({ command, exitCode, document, text }, host, { output, dir: folder });
  return exitCode;
}

/** Tells, on stderr alone, what failed when the command was done: its result stands. Returns the exit code. */
export async function tellLateFailure({ message, stack }: Error, host: Host): Promise<number> {
  const { logFormat, output, folder } = guessTelling(host);
  const log = hostFor(output, host);
  const text = `What was asked for is done; after that: ${message}`;
  const failure = Object.assign(new Error(text), { stack });
  if (logFormat === 'json') logFailure(failure, log, null);
  else log.stderr.write(`✖ ${hidePasswords(text)}\n`);
  const document = describeError(failure, null);
  await conclude({ command: null, exitCode: exitCodes.defect, document, text }, host, {
    output,
    dir: folder,
  });
  return exitCodes.defect;
}

/** How to tell a failure of a command line whose settings cannot be read: as far as can be seen without them. */
export function guessTelling(host: Host): Omit<Telling, 'command'> {
  const { argv, env } = host;
  const output = chooseOutput(guessChoice('output', host) ?? 'auto', env);
  return {
    json:
      argv.includes(settingDefinitions.json.flag) ||
      /^(?:1|true|yes|on)$/i.test(env['ALTERATION_JSON'] ?? ''),
    output,
    logFormat: chooseLogFormat(guessChoice('logFormat', host), output, host),
    folder: settingDefinitions.dir.shownDefault,
    color: undefined,
  };
}

/** The word that was chosen for a setting, when it is one. */
function guessChoice<N extends 'logFormat' | 'output'>(
  name: N,
  { argv, env }: Host,
): Settings[N] | undefined {
  const option = flagOf(name);
  const index = argv.findLastIndex((argument) => argument.split('=')[0] === option);
  const [variable = ''] = variablesOf(name);
  const given = index === -1 ? env[variable] : (argv[index]?.split('=')[1] ?? argv[index + 1]);
  const parsed = settingDefinitions[name].parse(given);
  return 'value' in parsed ? (parsed.value as Settings[N]) : undefined; // by that setting's own parser
}

function writeFailure(error: unknown, { env, stderr }: Host, { folder, color }: Telling): void {
  const text = hidePasswords(renderError(error, folder, choosePalette(color, env, stderr)));
  stderr.write(`${stderr.isTTY ? wrapText(text, stderr.columns || 80) : text}\n`);
}

/** Whatever the log level: a failure that is not told would be a riddle. */
function logFailure(error: unknown, { stderr }: Host, command: string | null): void {
  const isDefect = !(error instanceof AlterationError) && error instanceof Error;
  const { message, ...facts } = describeError(error, command).error;
  const line = { command, ...facts, ...(isDefect ? { stack: error.stack } : {}) };
  stderr.write(logLineOf('error', hidePasswordsIn(line), hidePasswords(message)));
}

function withHelpHint(error: UsageError, command: string | null): UsageError {
  if (error.hint) return error;
  return new UsageError(error.message, {
    hint: `See alteration ${command ? `${command} ` : ''}--help.`,
    problems: error.problems,
  });
}
