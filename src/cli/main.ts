import { UsageError } from '../core/errors.ts';
import { type CommandDefinition, commandDefinitions } from './commands.ts';
import { type ConfigFile, readConfigFile } from './config-file.ts';
import { loadEnvFile, readEnvironment, readLibpqDatabase, refuseSwallowedOptions } from './environment.ts';
import { exitCodeOf, exitCodes } from './exit-code.ts';
import { hidePasswords } from './hide-passwords.ts';
import type { Host } from './host.ts';
import { choosePalette } from './palette.ts';
import { type Invocation, parseArguments } from './program.ts';
import { createLogProgress, createPrettyProgress, type Progress } from './progress.ts';
import { describeError, renderError } from './report-error.ts';
import { type Outcome, runCommand } from './run-command.ts';
import { type GivenValue, parseSettings, type Settings, settingDefinitions } from './settings.ts';
import { wrapText } from './wrap-text.ts';

type Command = Extract<Invocation, { kind: 'command' }>;

/** Runs one command line to its end, and returns the exit code. Whatever happens is told on the host's streams. */
export async function main(host: Host): Promise<number> {
  let invocation: Invocation | undefined;
  try {
    refuseSwallowedOptions(host);
    invocation = parseArguments(host.argv, host.stdout.columns);
    if (invocation.kind === 'command') return await runInvocation(invocation, host);
    host.stdout.write(`${invocation.text}\n`);
    return exitCodes.done;
  } catch (error) {
    const command = invocation?.kind === 'command' ? invocation.name : null;
    return reportFailure(error, host, {
      command,
      json: wantsJson(host),
      folder: 'alterations',
      color: undefined,
    });
  }
}

async function runInvocation(command: Command, host: Host): Promise<number> {
  const { settings, file } = await readSettings(command, host);
  const { json, color } = settings;
  const progress = await createProgress(settings, host);
  const palette = choosePalette(color, host.env, host.stdout);
  const { argument, name } = command;
  host.stop.addEventListener('abort', () => progress.onNotice(stopping));
  try {
    const outcome = await runCommand(name, { host, settings, rows: file.rows, argument, progress, palette });
    progress.end();
    host.stdout.write(
      json && outcome.report
        ? `${JSON.stringify(outcome.report, null, 2)}\n`
        : `${showOutcome(outcome, host)}\n`,
    );
    return outcome.exitCode;
  } catch (error) {
    progress.end();
    return reportFailure(error, host, { command: name, json, folder: settings.dir, color });
  }
}

/** A result is fitted to the screen; a completion script is for a shell. */
function showOutcome({ report, text }: Outcome, { stdout }: Host): string {
  return report && stdout.isTTY ? wrapText(text, stdout.columns) : text;
}

const stopping = 'Stopping at the next safe point; a second signal abandons the alteration.';

interface FailureReport {
  readonly command: string | null;
  readonly json: boolean;
  readonly folder: string;
  readonly color: boolean | undefined;
}

function reportFailure(error: unknown, host: Host, { command, json, folder, color }: FailureReport): number {
  const shown = error instanceof UsageError && !json ? withHelpHint(error, command) : error;
  const text = hidePasswords(renderError(shown, folder, choosePalette(color, host.env, host.stderr)));
  host.stderr.write(`${host.stderr.isTTY ? wrapText(text, host.stderr.columns) : text}\n`);
  if (json) host.stdout.write(`${hidePasswords(JSON.stringify(describeError(error, command), null, 2))}\n`);
  return exitCodeOf(error);
}

function withHelpHint(error: UsageError, command: string | null): UsageError {
  if (error.hint) return error;
  return new UsageError(error.message, {
    hint: `See alteration ${command ? `${command} ` : ''}--help.`,
    problems: error.problems,
  });
}

/** Flag, then environment, then `.env`, then config file, then default. */
async function readSettings(command: Command, host: Host): Promise<{ settings: Settings; file: ConfigFile }> {
  const named = (name: 'envFile' | 'config', environment: ReadonlyMap<string, GivenValue>) => {
    const value = command.given.get(name)?.value ?? environment.get(name)?.value;
    return typeof value === 'string' ? value : undefined;
  };
  const env = { ...host.env };
  const real = readEnvironment(env);
  const values = await loadEnvFile(host, named('envFile', real));
  const fromFile = readEnvironment(values);
  const file = await readConfigFile(host.cwd, named('config', new Map([...fromFile, ...real])));
  const layers = [file.given, fromFile, real, command.given];
  if (definitionOf(command.name).settings.includes('dbUrl') && !command.given.has('dbUrl')) {
    layers.splice(1, 0, readLibpqDatabase(values, fromFile));
    layers.splice(3, 0, readLibpqDatabase(env, real));
  }
  return { settings: parseSettings(new Map(layers.flatMap((layer) => [...layer]))), file };
}

function definitionOf(name: Command['name']): CommandDefinition {
  return commandDefinitions[name];
}

function createProgress(settings: Settings, host: Host): Promise<Progress> {
  const { logFormat, logLevel, color } = settings;
  const format = logFormat ?? (host.stderr.isTTY ? 'pretty' : 'json');
  return format === 'json'
    ? createLogProgress(host.stderr, logLevel)
    : createPrettyProgress(host.stderr, choosePalette(color, host.env, host.stderr), logLevel);
}

/** Whether --json was said, as far as can be told before the settings are read. */
function wantsJson({ argv, env }: Host): boolean {
  const { flag } = settingDefinitions.json;
  return argv.includes(flag) || /^(?:1|true|yes|on)$/i.test(env['ALTERATION_JSON'] ?? '');
}
