import { randomUUID } from 'node:crypto';
import { renderDuration } from '../core/duration.ts';
import { chooseOutput, hostFor, type OutputKind, renderDocument } from './ci/output-kind.ts';
import { type CommandDefinition, type CommandName, commandDefinitions } from './commands.ts';
import { conclude } from './conclude.ts';
import { type ConfigFile, readConfigFile } from './config-file.ts';
import { loadEnvFile, readEnvironment, readLibpqDatabase, refuseSwallowedOptions } from './environment.ts';
import { exitCodes } from './exit-code.ts';
import type { Host } from './host.ts';
import { type CommandInvocation, type Invocation, readPlainArguments } from './invocation.ts';
import { chooseLogFormat, type LogFormat } from './log-format.ts';
import { choosePalette } from './palette.ts';
import { createLogProgress, createPrettyProgress, type Progress } from './progress.ts';
import { type Outcome, runCommand } from './run-command.ts';
import { type GivenValue, parseSettings, type Settings } from './settings.ts';
import type { Telling } from './tell-failure.ts';
import { wrapText } from './wrap-text.ts';

/** What a signal is to a run. From here, that the process need not import one more file. */
export { StoppedError } from '../core/errors.ts';

/** Runs one command line to its end, and returns the exit code. Whatever happens is told on the host's streams. */
export async function main(host: Host): Promise<number> {
  let invocation: Invocation | undefined;
  try {
    refuseSwallowedOptions(host);
    invocation = readPlainArguments(host.argv) ?? (await parseArguments(host));
    if (invocation.kind === 'command') return await runInvocation(invocation, host);
    host.stdout.write(`${invocation.text}\n`);
    return exitCodes.done;
  } catch (error) {
    const command = invocation?.kind === 'command' ? invocation.name : null;
    const { guessTelling, tellFailure } = await import('./tell-failure.ts');
    return tellFailure(error, host, { command, ...guessTelling(host) });
  }
}

async function parseArguments({ argv, stdout }: Host): Promise<Invocation> {
  const program = await import('./program.ts');
  return program.parseArguments(argv, stdout.columns);
}

async function runInvocation(command: CommandInvocation, host: Host): Promise<number> {
  const { settings, file } = await readSettings(command, host);
  const { json, color, dir } = settings;
  // A completion script goes to a file as it is, in a pipeline too.
  const isReported = definitionOf(command.name).settings.includes('output');
  const output = isReported ? chooseOutput(settings.output, host.env) : 'plain';
  const log = hostFor(output, host);
  const logFormat = chooseLogFormat(settings.logFormat, output, host);
  const progress = await createProgress(settings, logFormat, output, host);
  const palette = choosePalette(color, host.env, log.stdout);
  const { argument, given, name } = command;
  host.stop.addEventListener('abort', () => progress.onNotice(stoppingNotice(name, settings)));
  try {
    const outcome = await runCommand(name, {
      host: log,
      settings,
      rows: file.rows,
      argument,
      given,
      progress,
      palette,
    });
    progress.end();
    const { report: document, text, exitCode } = outcome;
    if (json && document) host.stdout.write(`${renderDocument(document, output)}\n`);
    else log.stdout.write(`${showOutcome(outcome, log)}\n`);
    if (document) await conclude({ command: name, exitCode, document, text }, host, { output, dir });
    return exitCode;
  } catch (error) {
    progress.end();
    const telling: Telling = { command: name, json, logFormat, output, folder: dir, color };
    const { tellFailure } = await import('./tell-failure.ts');
    return tellFailure(error, host, telling);
  }
}

/** A result is fitted to the screen; a completion script is for a shell. */
function showOutcome({ report, text }: Outcome, { stdout }: Host): string {
  return report && stdout.isTTY ? wrapText(text, stdout.columns) : text;
}

function stoppingNotice(command: CommandName, { grace }: Settings): string {
  if (!definitionOf(command).settings.includes('grace') || grace === 0) return 'Stopping.';
  return `Stopping. An alteration under way has ${renderDuration(grace)} to end; a second signal ends it at once.`;
}

/** Flag, then environment, then `.env`, then config file, then default. */
async function readSettings(
  command: CommandInvocation,
  host: Host,
): Promise<{ settings: Settings; file: ConfigFile }> {
  const named = (name: 'envFile' | 'config', environment: ReadonlyMap<string, GivenValue>) => {
    const value = command.given.get(name)?.value ?? environment.get(name)?.value;
    return typeof value === 'string' ? value : undefined;
  };
  const env = { ...host.env };
  const real = readEnvironment(env);
  const values = loadEnvFile(host, named('envFile', real));
  const fromFile = readEnvironment(values);
  const file = await readConfigFile(host.cwd, named('config', new Map([...fromFile, ...real])));
  const layers = [file.given, fromFile, real, command.given];
  if (definitionOf(command.name).settings.includes('dbUrl') && !command.given.has('dbUrl')) {
    layers.splice(1, 0, readLibpqDatabase(values, fromFile));
    layers.splice(3, 0, readLibpqDatabase(env, real));
  }
  return { settings: parseSettings(mergeLayers(layers)), file };
}

/** A later layer wins. One that names the database without a direct connection to it takes back an earlier one's. */
function mergeLayers(layers: readonly ReadonlyMap<string, GivenValue>[]): ReadonlyMap<string, GivenValue> {
  const merged = new Map<string, GivenValue>();
  for (const layer of layers) {
    if (layer.has('dbUrl')) merged.delete('directUrl');
    for (const [name, given] of layer) merged.set(name, given);
  }
  return merged;
}

function definitionOf(name: CommandName): CommandDefinition {
  return commandDefinitions[name];
}

async function createProgress(
  { logLevel, color }: Settings,
  logFormat: LogFormat,
  output: OutputKind,
  host: Host,
): Promise<Progress> {
  const { env, stderr } = hostFor(output, host);
  const progress =
    logFormat === 'json'
      ? createLogProgress(stderr, logLevel)
      : await createPrettyProgress(stderr, choosePalette(color, env, stderr), logLevel);
  if (output === 'github') {
    const { withCommandsStopped } = await import('./ci/stopped-commands.ts');
    return withCommandsStopped(progress, host.stderr, randomUUID());
  }
  const isTold = logFormat === 'pretty' && (logLevel === 'debug' || logLevel === 'info');
  if (output !== 'gitlab' || !isTold) return progress;
  const { inSections } = await import('./ci/gitlab-sections.ts');
  return inSections(progress, stderr, `alteration_${randomUUID()}`);
}
