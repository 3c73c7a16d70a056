import { resolve } from 'node:path';
import { ConfigurationError, UsageError } from '../core/errors.ts';
import type { CommandContext } from './command-context.ts';
import { type CommandDefinition, type CommandName, commandDefinitions } from './commands.ts';
import type { Report } from './ending.ts';
import { exitCodes } from './exit-code.ts';
import { renderDeploy } from './render-deploy.ts';
import type { SettingName } from './settings.ts';
import { checkTargetArgument } from './target-argument.ts';

/** What a command ends with: a document for --json, the same as text, and the exit code. */
export interface Outcome {
  readonly report?: Report;
  readonly text: string;
  readonly exitCode: number;
}

type Run = (context: CommandContext) => Promise<Outcome>;

const runs: Readonly<Record<CommandName, Run>> = {
  deploy: (context) =>
    withDatabase(context, async (database) => {
      const { deploy } = await import('../operations/deploy.ts');
      const { dryRun, strictOrder, allowEdited, atomic } = context.settings;
      const target = context.argument ?? (await offerTargets(context, database));
      const report = await deploy({
        ...runOptions(context, database),
        target,
        dryRun,
        strictOrder,
        allowEdited,
        atomic,
      });
      return done(report, await renderDeploy(report, context.palette));
    }),
  rollback: (context) =>
    withDatabase(context, async (database) => {
      const { rollback } = await import('../operations/rollback.ts');
      const { renderRollback } = await import('./render-reports.ts');
      const { dryRun, allowEdited } = context.settings;
      const target = requireArgument(context);
      const { confirmRollback } = await import('./prompts.ts');
      const confirm = confirmRollback(context);
      const report = await rollback({
        ...runOptions(context, database),
        target,
        dryRun,
        allowEdited,
        confirm,
      });
      return done(report, renderRollback(report, context.palette));
    }),
  list: (context) =>
    withDatabase(context, async (database) => {
      const { list } = await import('../operations/list.ts');
      const { renderList } = await import('./render-reports.ts');
      const report = await list({ ...databaseOptions(context, database), pending: context.settings.pending });
      const { isTTY, columns } = context.host.stdout;
      return done(report, renderList(report, context.palette, isTTY ? columns : undefined));
    }),
  status: (context) =>
    withDatabase(context, async (database) => {
      const { status } = await import('../operations/status.ts');
      const { renderStatus } = await import('./render-reports.ts');
      const report = await status(databaseOptions(context, database));
      return done(report, renderStatus(report, context.palette));
    }),
  check: (context) => (context.settings.ci ? checkFiles(context) : checkDatabase(context)),
  create: async (context) => {
    const { create } = await import('../operations/create.ts');
    const { renderCreate } = await import('./render-reports.ts');
    const { sql, sqlPair, dir } = context.settings;
    if (sql && sqlPair) throw new UsageError('--sql and --sql-pair are two ways to write it; choose one.');
    const kind = sqlPair ? 'sql-pair' : sql ? 'sql' : 'module';
    const report = await create({ folder: folderOf(context), name: requireArgument(context), kind });
    return done(report, renderCreate(report, dir));
  },
  release: async (context) => {
    const { release } = await import('../operations/release.ts');
    const { renderRelease } = await import('./render-reports.ts');
    const { dryRun, allowLower } = context.settings;
    const version = requireArgument(context);
    const report = await release({ folder: folderOf(context), version, dryRun, allowLower });
    return done(report, renderRelease(report));
  },
  baseline: (context) =>
    withDatabase(context, async (database) => {
      const { baseline } = await import('../operations/baseline.ts');
      const { renderBaseline } = await import('./render-reports.ts');
      const target = requireArgument(context);
      const report = await baseline({
        ...runOptions(context, database),
        target,
        dryRun: context.settings.dryRun,
      });
      return done(report, renderBaseline(report, context.palette));
    }),
  completion: async (context) => {
    const { renderCompletion } = await import('./completion.ts');
    return { text: renderCompletion(requireArgument(context)).trimEnd(), exitCode: exitCodes.done };
  },
};

export async function runCommand(name: CommandName, context: CommandContext): Promise<Outcome> {
  const { argument }: CommandDefinition = commandDefinitions[name];
  if (argument?.name === 'target' && context.argument !== undefined) {
    await checkTargetArgument(context.argument);
  }
  return runs[name](context);
}

function checkDatabase(context: CommandContext): Promise<Outcome> {
  return withDatabase(context, async (database) => {
    const { check } = await import('../operations/check.ts');
    const { renderCheck } = await import('./render-reports.ts');
    const { strictOrder, wait } = context.settings;
    const report = await check({
      ...databaseOptions(context, database),
      target: context.argument ?? 'latest',
      strictOrder,
      waitMs: wait,
      onWait: ({ reason }) => context.progress.onActivity(`Waiting: ${reason}`),
    });
    const exitCode = {
      'up-to-date': exitCodes.done,
      pending: exitCodes.pending,
      integrity: exitCodes.integrity,
    };
    return { report, text: renderCheck(report, context.palette), exitCode: exitCode[report.result] };
  });
}

/** The check that needs no database. */
async function checkFiles(context: CommandContext): Promise<Outcome> {
  refuseDatabaseFlags(context);
  const { checkFolder } = await import('../operations/check-folder.ts');
  const { renderFolderCheck } = await import('./render-folder-check.ts');
  const { host, palette, settings } = context;
  const { env, stop, abandon } = host;
  const report = await checkFolder({ folder: folderOf(context), env, stop, abandon });
  const exitCode = report.result === 'passed' ? exitCodes.done : exitCodes.integrity;
  return { report, text: renderFolderCheck(report, settings.dir, palette), exitCode };
}

/** What only a check of a database heeds would be ignored in silence. Throws a UsageError. */
function refuseDatabaseFlags({ argument, given }: CommandContext): void {
  const flags = databaseFlags.flatMap((name) => given.get(name)?.source ?? []);
  const useless = [...flags, ...(argument === undefined ? [] : ['a target'])];
  if (useless.length === 0) return;
  const last = useless.at(-1) ?? '';
  const list = useless.length === 1 ? last : `${useless.slice(0, -1).join(', ')} and ${last}`;
  throw new UsageError(`--ci checks the files alone and asks no database; it goes without ${list}.`);
}

const databaseFlags: readonly SettingName[] = [
  'dbUrl',
  'directUrl',
  'historySchema',
  'historyTable',
  'connectWait',
  'pooler',
  'keepalive',
  'strictOrder',
  'wait',
];

function done(report: Report, text: string): Outcome {
  return { report, text, exitCode: exitCodes.done };
}

function databaseOptions(context: CommandContext, database: string) {
  const { historySchema, historyTable, connectWait, keepalive, pooler } = context.settings;
  return {
    database,
    folder: folderOf(context),
    historySchema,
    historyTable,
    connectWaitMs: connectWait,
    keepaliveMs: keepalive,
    ...(pooler === 'auto' ? {} : { pooler }),
    stop: context.host.stop,
    onEvent: context.progress.onEvent,
  };
}

function runOptions(context: CommandContext, database: string) {
  const { host, settings, rows } = context;
  return {
    ...databaseOptions(context, database),
    lockWaitMs: settings.lockWait,
    lockTimeoutMs: settings.lockTimeout,
    lockDeadlineMs: settings.lockDeadline,
    graceMs: settings.grace,
    tellLeaks: settings.logLevel === 'debug',
    ...(rows ? { rows } : {}),
    abandon: host.abandon,
  };
}

function folderOf({ host, settings }: CommandContext): string {
  return resolve(host.cwd, settings.dir);
}

function requireArgument({ argument }: CommandContext): string {
  if (argument !== undefined) return argument;
  throw new UsageError('The command needs an argument; see its --help.');
}

/** On a terminal the user chooses; anywhere else it is latest. */
async function offerTargets(context: CommandContext, database: string): Promise<string> {
  if (!context.host.terminal || context.settings.json) return 'latest';
  const { list } = await import('../operations/list.ts');
  const { alterations } = await list({ ...databaseOptions(context, database), pending: true });
  const { selectTarget } = await import('./prompts.ts');
  return selectTarget(
    context.host,
    alterations.map(({ version }) => version),
  );
}

async function withDatabase(
  context: CommandContext,
  work: (database: string) => Promise<Outcome>,
): Promise<Outcome> {
  const { host, settings, progress } = context;
  const url = settings.directUrl ?? settings.dbUrl;
  if (settings.directUrl && settings.dbUrl)
    progress.onFact('The direct connection (--direct-url, DIRECT_DB_URL) is used.');
  if (url === undefined) {
    throw new ConfigurationError('No database is named.', {
      hint: 'Set DB_URL (or DATABASE_URL, or --db-url) to postgres://user:password@host:port/database, or to embedded:<folder> for a PostgreSQL that npm installed.',
    });
  }
  if (!url.startsWith('embedded:')) return work(url);
  const { withEmbeddedServer } = await import('../postgres/embedded-server.ts');
  const folder = resolve(host.cwd, url.slice('embedded:'.length));
  return withEmbeddedServer(folder, ({ connectionString }) => work(connectionString), {
    onProgress: progress.onActivity,
    signal: host.stop,
  });
}
