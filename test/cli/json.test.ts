import { cp, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import {
  baselineReportSchema,
  checkReportSchema,
  createReportSchema,
  deployReportSchema,
  errorReportSchema,
  listReportSchema,
  releaseReportSchema,
  rollbackReportSchema,
  statusReportSchema,
} from '../../src/index.ts';
import type { CliResult } from '../support/cli.ts';
import { type Sandbox, useSandboxes } from '../support/sandbox.ts';
import { strictSchema } from '../support/strict-schema.ts';

const createSandbox = useSandboxes();

/** A sandbox with the example product's history. */
async function createExample(): Promise<Sandbox> {
  const sandbox = await createSandbox();
  await cp('alterations', sandbox.dir, { recursive: true });
  return sandbox;
}

/** Runs a command with --json; its document is of the schema, and has no field besides. */
function runIn({ run }: Sandbox) {
  return async <T extends z.ZodType>(
    schema: T,
    exitCode: number,
    ...args: string[]
  ): Promise<z.output<T>> => {
    const result = await run([...args, '--json']);
    expect(result).toMatchObject({ exitCode });
    const document: unknown = JSON.parse(result.stdout);
    strictSchema(schema).parse(document);
    return schema.parse(document);
  };
}

/** The lines of stderr, each of which is JSON. */
const linesOf = ({ stderr }: CliResult): readonly unknown[] =>
  stderr
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line));

const versionOf = ({ version }: { readonly version: string }) => version;

describe.concurrent('the document of --json', () => {
  test('follows the example history up, down and to its end', async () => {
    const sandbox = await createExample();
    const run = runIn(sandbox);
    const isReleased = (name: string) => /^\d/.test(name) && !name.endsWith('.down.sql');
    const released = (await readdir(sandbox.dir)).filter(isReleased).length;

    const planned = await run(deployReportSchema, 0, 'deploy', '1.1.0', '--dry-run');
    expect(planned).toMatchObject({ dryRun: true, applied: [], version: null, deployId: null });

    const first = await run(deployReportSchema, 0, 'deploy', '1.1.0');
    expect(first).toMatchObject({ target: '1.1.0', versionBefore: null, version: '1.1.0', planned: [] });
    expect(first.applied.map(({ id }) => id)).toEqual(planned.planned.map(({ id }) => id));
    expect(new Set(first.applied.map(versionOf))).toContain('1.0.0-beta.1');

    const second = await run(deployReportSchema, 0, 'deploy', '1.2.0');
    expect(second).toMatchObject({ versionBefore: '1.1.0', version: '1.2.0', missing: [], renamed: [] });
    expect([...new Set(second.applied.map(versionOf))]).toEqual(['1.1.1', '1.2.0']);

    const latest = await run(deployReportSchema, 0, 'deploy', 'latest');
    expect(latest).toMatchObject({ version: '1.4.0', pending: 2 });
    expect(first.applied.length + second.applied.length + latest.applied.length).toBe(released);

    const plannedDown = await run(rollbackReportSchema, 0, 'rollback', '1.1.0', '--dry-run');
    expect(plannedDown).toMatchObject({ dryRun: true, rolledBack: [], version: '1.4.0' });
    const down = await run(rollbackReportSchema, 0, 'rollback', '1.1.0', '--yes');
    expect(down).toMatchObject({ dryRun: false, versionBefore: '1.4.0', version: '1.1.0' });
    expect(down.rolledBack.map(({ id }) => id)).toEqual(
      [...second.applied, ...latest.applied].map(({ id }) => id).reverse(),
    );

    const next = await run(deployReportSchema, 0, 'deploy', 'next');
    expect(next).toMatchObject({ target: 'next', versionBefore: '1.1.0', version: 'next', pending: 0 });
    expect(next.applied).toHaveLength(down.rolledBack.length + 2);
    expect(next.deployId).not.toBe(first.deployId);
  });

  test('tells what is applied and what is pending', async () => {
    const sandbox = await createExample();
    const run = runIn(sandbox);
    expect(await run(statusReportSchema, 0, 'status')).toMatchObject({
      version: null,
      history: { schema: 'public', table: 'alteration_history', exists: false },
      lastDeploy: null,
      lock: null,
    });
    expect(await run(checkReportSchema, 3, 'check', '1.0.0')).toMatchObject({
      result: 'pending',
      version: null,
    });
    const { deployId } = await run(deployReportSchema, 0, 'deploy', '1.0.0');
    expect(await run(checkReportSchema, 0, 'check', '1.0.0')).toMatchObject({
      result: 'up-to-date',
      version: '1.0.0',
      pending: [],
    });
    const all = await run(listReportSchema, 0, 'list');
    const pending = await run(listReportSchema, 0, 'list', '--pending');
    expect(pending.alterations).toEqual(all.alterations.filter(({ state }) => state === 'pending'));
    const [applied] = all.alterations;
    expect(applied).toMatchObject({
      state: 'applied',
      version: '1.0.0-beta.1',
      appliedAt: expect.stringMatching(/Z$/),
    });
    const status = await run(statusReportSchema, 0, 'status');
    expect(status).toMatchObject({
      version: '1.0.0',
      lastDeploy: { deployId, applied: 10 },
      counts: { applied: 10 },
    });
    expect(status.counts.pending).toBe(pending.alterations.length);
  });

  test('tells what a baseline records', async () => {
    const run = runIn(await createExample());
    const planned = await run(baselineReportSchema, 0, 'baseline', '1.0.0', '--dry-run');
    expect(planned).toMatchObject({ dryRun: true, deployId: null });
    const recorded = await run(baselineReportSchema, 0, 'baseline', '1.0.0');
    expect(recorded).toMatchObject({ dryRun: false, version: '1.0.0', recorded: planned.recorded });
    expect(recorded.recorded).toHaveLength(10);
  });

  test.for([
    [[], /^next-\d{10}-add-users\.ts$/],
    [['--sql'], /^next-\d{10}-add-users\.sql$/],
    [['--sql-pair'], /^next-\d{10}-add-users\.(?:up|down)\.sql$/],
  ] as const)('tells the files that create %s writes', async ([options, pattern]) => {
    const sandbox = await createSandbox();
    const { id, files } = await runIn(sandbox)(createReportSchema, 0, 'create', 'Add users', ...options);
    expect(await readdir(sandbox.dir)).toEqual([...files].sort());
    for (const file of files) expect(file).toMatch(pattern);
    expect(files[0]).toContain(id);
  });

  test('tells that nothing is left to do once what was deployed as next is released', async () => {
    const sandbox = await createExample();
    const run = runIn(sandbox);
    await run(deployReportSchema, 0, 'deploy', 'next');
    const planned = await run(releaseReportSchema, 0, 'release', '1.5.0', '--dry-run');
    const { renamed } = await run(releaseReportSchema, 0, 'release', '1.5.0');
    expect(renamed).toEqual(planned.renamed);
    expect(renamed.map(({ to }) => to.slice(0, 6))).toEqual(['1.5.0-', '1.5.0-', '1.5.0-']);
    const files = await readdir(sandbox.dir);
    expect(files.filter((file) => file.startsWith('next-'))).toEqual([]);

    const latest = await run(deployReportSchema, 0, 'deploy', 'latest');
    expect(latest).toMatchObject({ applied: [], version: '1.5.0', pending: 0, deployId: null });
    expect(latest.renamed.map(({ from, to }) => [from, to])).toEqual([
      ['next', '1.5.0'],
      ['next', '1.5.0'],
    ]);
    const rows = await sandbox.query(
      `select version from alteration_history where version in ('next', '1.5.0')`,
    );
    expect(rows).toEqual([{ version: '1.5.0' }, { version: '1.5.0' }]);
    expect(await run(deployReportSchema, 0, 'deploy', 'latest')).toMatchObject({ applied: [], renamed: [] });
  });

  test('is the only thing on stdout, whatever a script prints', async () => {
    const { run } = await createSandbox({
      '1.0.0-1-a.ts': `console.log('at import');
export default { up: async () => { console.log('in up'); process.stdout.write('raw'); } };`,
    });
    const { stdout, stderr } = await run(['deploy', '--json']);
    expect(deployReportSchema.parse(JSON.parse(stdout)).applied).toHaveLength(1);
    for (const text of ['at import', 'in up', 'raw']) expect(stderr).toContain(text);
  });

  test('names a late alteration, a missing one and an edited one', async () => {
    const sandbox = await createSandbox({ '1.1.0-2-b.sql': 'select 1;' });
    const run = runIn(sandbox);
    await run(deployReportSchema, 0, 'deploy');
    await writeFile(join(sandbox.dir, '1.1.0-2-b.sql'), 'select 2;');
    await writeFile(join(sandbox.dir, '1.0.0-1-a.sql'), 'select 1;');
    await sandbox.query(`insert into alteration_history
      select '3', '1.2.0', 'gone', checksum, applied_at, duration_ms, role, host, runner, deploy_id, state
      from alteration_history`);
    const check = await run(checkReportSchema, 8, 'check');
    expect(check).toMatchObject({
      result: 'integrity',
      edited: ['1.1.0-2-b.sql'],
      missing: [{ id: '3', version: '1.2.0', name: 'gone' }],
      pending: [{ file: '1.0.0-1-a.sql', late: true }],
    });
    const deploy = await run(deployReportSchema, 0, 'deploy', '--allow-edited');
    expect(deploy).toMatchObject({
      accepted: ['1.1.0-2-b.sql'],
      applied: [{ file: '1.0.0-1-a.sql', late: true }],
      missing: [{ id: '3' }],
    });
  });
});

describe.concurrent('the document of a failure', () => {
  test.for([
    ['an unknown command', ['deploi'], 2, { code: 'usage' }, null],
    ['a wrong setting', ['deploy', '--lock-wait', '5'], 2, { code: 'configuration' }, 'deploy'],
    ['a target that is none', ['deploy', 'newest'], 2, { code: 'invalid-target' }, 'deploy'],
    ['a rollback that nobody agreed to', ['rollback', '0.0.0'], 2, { code: 'usage' }, 'rollback'],
  ] as const)('tells %s', async ([, args, exitCode, error, command]) => {
    const sandbox = await createSandbox({
      '1.0.0-1-a.up.sql': 'create table a (id int);',
      '1.0.0-1-a.down.sql': 'drop table a;',
    });
    const run = runIn(sandbox);
    await run(deployReportSchema, 0, 'deploy');
    const document = await run(errorReportSchema, exitCode, ...args);
    expect(document).toMatchObject({ command, error });
  });

  test('has the place, what PostgreSQL said and how far the run came', async () => {
    const run = runIn(
      await createSandbox({
        '1.0.0-1-a.sql': 'create table a (id int primary key);',
        '1.0.0-2-b.sql': 'insert into a values (1);\ninsert into a values (1);\n',
        '1.0.0-3-c.sql': 'select 1;',
      }),
    );
    const { error } = await run(errorReportSchema, 4, 'deploy');
    expect(error).toMatchObject({
      code: 'alteration-failed',
      alteration: '1.0.0-2-b.sql',
      phase: 'up',
      place: { file: '1.0.0-2-b.sql', line: 2, column: 1 },
      database: {
        sqlState: '23505',
        statement: 'insert into a values (1)',
        detail: 'Key (id)=(1) already exists.',
      },
      progress: { direction: 'up', done: ['1.0.0-1-a.sql'], remaining: ['1.0.0-2-b.sql', '1.0.0-3-c.sql'] },
    });
  });

  test('has the number of statements that are done outside a transaction', async () => {
    const run = runIn(
      await createSandbox({
        '1.0.0-1-a.sql': '-- alteration: no-transaction\nselect 1;\nselect 2;\nselect nope;\nselect 4;',
      }),
    );
    const { error } = await run(errorReportSchema, 5, 'deploy');
    expect(error).toMatchObject({ code: 'alteration-half-done', statements: { done: 2, total: 4 } });
    expect((await run(listReportSchema, 0, 'list')).alterations).toMatchObject([
      { state: 'pending', statementsDone: 2 },
    ]);
  });
});

describe.concurrent('the log of a run that fails', () => {
  test.for([
    ['as stderr is no terminal', [], { ALTERATION_LOG_FORMAT: '' }],
    ['as --log-format says', ['--log-format', 'json'], {}],
  ] as const)('is JSON to its last line, which tells the failure, %s', async ([, options, env]) => {
    const { run } = await createSandbox({
      '1.0.0-1-a.sql': 'create table a (id int primary key);',
      '1.0.0-2-b.sql': 'insert into a values (1);\ninsert into a values (1);\n',
      '1.0.0-3-c.sql': 'select 1;',
    });
    const result = await run(['deploy', '--json', ...options], { env });
    const lines = linesOf(result);
    const { message, ...facts } = errorReportSchema.parse(JSON.parse(result.stdout)).error;
    expect(lines.at(-1)).toEqual({
      level: 'error',
      time: expect.stringMatching(/^\d{4}-.*Z$/),
      msg: message,
      command: 'deploy',
      ...facts,
    });
    expect(lines.at(-1)).toMatchObject({
      code: 'alteration-failed',
      exitCode: 4,
      hint: expect.stringContaining('rolled back'),
      place: { file: '1.0.0-2-b.sql', line: 2, excerpt: expect.stringContaining('  | ^') },
      database: { sqlState: '23505' },
      progress: { done: ['1.0.0-1-a.sql'], remaining: ['1.0.0-2-b.sql', '1.0.0-3-c.sql'] },
    });
    expect(lines.filter((line) => JSON.stringify(line).includes('"level":"error"'))).toHaveLength(1);
  });

  test.for([
    ['nothing, as stderr is no terminal', ['deploy', 'newest'], { ALTERATION_LOG_FORMAT: '' }],
    ['the flag', ['deploy', '--dry-rum', '--log-format', 'json'], {}],
    ['the flag with its value', ['deploy', '--dry-rum', '--log-format=json'], {}],
    ['the variable', ['deploi'], { ALTERATION_LOG_FORMAT: 'json' }],
    ['the variable, before a wrong setting', ['check', '--wait', '5'], { ALTERATION_LOG_FORMAT: 'json' }],
  ] as const)('is one line when the arguments make no sense, in JSON by %s', async ([, args, env]) => {
    const { run } = await createSandbox();
    const result = await run(args, { env });
    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    expect(linesOf(result)).toMatchObject([{ level: 'error', exitCode: 2, code: expect.any(String) }]);
  });

  test('is in words when the flag says pretty, whatever the variable says', async () => {
    const { run } = await createSandbox();
    const args = ['deploy', '--dry-rum', '--log-format', 'pretty'];
    const { stderr } = await run(args, { env: { ALTERATION_LOG_FORMAT: 'json' } });
    expect(stderr).toMatch(/^✖ Unknown option "--dry-rum"\.\n/);
  });

  test.for(['debug', 'silent'] as const)('tells the failure at the log level %s', async (level) => {
    const { run } = await createSandbox({ '1.0.0-1-a.sql': 'select nope;' });
    const result = await run(['deploy', '--log-level', level, '--log-format', 'json']);
    expect(linesOf(result).at(-1)).toMatchObject({ level: 'error', code: 'alteration-failed' });
  });
});
