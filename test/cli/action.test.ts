import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { access, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import manifest from '../../package.json' with { type: 'json' };
import { readGithubLog, readGithubOutputs } from '../support/github-log.ts';
import {
  type NpmRegistry,
  packRepository,
  startNpmRegistry,
  writeNodePackage,
} from '../support/npm-registry.ts';
import { installRunner } from '../support/product.ts';
import { password, type Sandbox, useSandboxes } from '../support/sandbox.ts';
import { waitUntil } from '../support/wait-until.ts';

const createSandbox = useSandboxes();

const actionSchema = z.strictObject({
  name: z.string(),
  description: z.string(),
  branding: z.object({ icon: z.string(), color: z.string() }),
  inputs: z.record(z.string(), z.strictObject({ description: z.string(), default: z.string() })),
  outputs: z.record(z.string(), z.strictObject({ description: z.string(), value: z.string() })),
  runs: z.strictObject({
    using: z.literal('composite'),
    steps: z.tuple([
      z.strictObject({
        id: z.string(),
        shell: z.literal('bash'),
        'working-directory': z.string(),
        env: z.record(z.string(), z.string()),
        run: z.string(),
      }),
    ]),
  }),
});

const action = actionSchema.parse(parse(await readFile('action.yml', 'utf8')));
const [step] = action.runs.steps;

/** This repository's package as npm would install it, and an older Node before the real one on PATH. */
let files = '';
let registry: NpmRegistry;

beforeAll(async () => {
  files = await mkdtemp(join(tmpdir(), 'alteration-action-'));
  for (const name of ['postgres-alteration', 'node', 'old-node']) await mkdir(join(files, name));
  await packRepository(join(files, 'postgres-alteration'));
  await writeNodePackage(join(files, 'node'), '24.99.0');
  const older = `#!/bin/sh\nif [ "$1" = --version ]; then echo v20.19.4; else exec '${process.execPath}' "$@"; fi\n`;
  await writeFile(join(files, 'old-node', 'node'), older, { mode: 0o755 });
  registry = await startNpmRegistry({
    'postgres-alteration': join(files, 'postgres-alteration'),
    node: join(files, 'node'),
  });
});

afterAll(async () => {
  await registry.close();
  await rm(files, { recursive: true, force: true });
});

interface Given {
  readonly inputs?: Readonly<Record<string, string>>;
  /** Of the job. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Before the real Node on PATH. */
  readonly path?: string;
}

interface StepRun {
  readonly process: ChildProcess;
  readonly result: Promise<{
    readonly exitCode: number | null;
    readonly stdout: string;
    readonly stderr: string;
    /** Of both streams; the runner reads both. */
    readonly commands: ReturnType<typeof readGithubLog>['commands'];
    /** By the names that action.yml gives them. */
    readonly outputs: Readonly<Record<string, string | undefined>>;
    readonly summary: string;
  }>;
}

/** Runs the action's step as GitHub's runner does: inputs become env, the script a file that bash runs. */
async function startStep({ root, url }: Sandbox, { inputs = {}, env = {}, path }: Given): Promise<StepRun> {
  const place = await mkdtemp(join(root, 'step-'));
  const [output, summary, script] = [join(place, 'output'), join(place, 'summary'), join(place, 'script.sh')];
  for (const file of [output, summary]) await writeFile(file, '');
  await writeFile(script, step.run);
  const child = spawn('bash', ['--noprofile', '--norc', '-e', '-o', 'pipefail', script], {
    cwd: join(root, fillIn(step['working-directory'], inputs)),
    env: {
      PATH: [path, process.env['PATH']].filter(Boolean).join(':'),
      HOME: process.env['HOME'],
      DB_URL: url,
      CI: 'true',
      GITHUB_ACTIONS: 'true',
      GITHUB_ACTION_PATH: resolve('.'),
      GITHUB_WORKSPACE: root,
      GITHUB_OUTPUT: output,
      GITHUB_STEP_SUMMARY: summary,
      npm_config_userconfig: '/dev/null',
      npm_config_registry: registry.url,
      npm_config_cache: join(files, 'npm-cache'),
      npm_config_update_notifier: 'false',
      ...env,
      ...Object.fromEntries(Object.entries(step.env).map(([name, text]) => [name, fillIn(text, inputs)])),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const written = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', (chunk: Buffer) => {
      written[name] += chunk.toString();
    });
  }
  const ended = new Promise<number | null>((settle, refuse) => {
    child.on('error', refuse);
    child.on('close', settle);
  });
  const result = ended.then(async (exitCode) => ({
    exitCode,
    ...written,
    commands: [written.stdout, written.stderr].flatMap((text) => readGithubLog(text).commands),
    outputs: readOutputs(await readFile(output, 'utf8')),
    summary: await readFile(summary, 'utf8'),
  }));
  return { process: child, result };
}

const runStep = async (sandbox: Sandbox, given: Given = {}) => (await startStep(sandbox, given)).result;

/** The one kind of expression that stands in the step. */
function fillIn(text: string, inputs: Readonly<Record<string, string>>): string {
  return text.replace(/\$\{\{ inputs\.([\w-]+) \}\}/g, (_, name: string) => {
    const input = action.inputs[name];
    if (!input) throw new Error(`action.yml has no input "${name}".`);
    return inputs[name] ?? input.default;
  });
}

function readOutputs(text: string): Readonly<Record<string, string | undefined>> {
  const written = readGithubOutputs(text);
  return Object.fromEntries(
    Object.entries(action.outputs).map(([name, { value }]) => {
      const [, id, key = ''] = /^\$\{\{ steps\.([\w-]+)\.outputs\.([\w-]+) \}\}$/.exec(value) ?? [];
      expect(id).toBe(step.id);
      return [name, written[key]];
    }),
  );
}

/** A product's checkout with the runner in its node_modules, as `npm ci` would leave it. */
async function createProduct(alterations: Readonly<Record<string, string>>): Promise<Sandbox> {
  const sandbox = await createSandbox(alterations);
  await installRunner(sandbox.root, join(files, 'postgres-alteration'));
  return sandbox;
}

/** An alteration that writes down the value of an expression; it imports nothing. */
const tellingModule = (expression: string) => `export default { up: async (connection) => {
  const sql = 'create table told as select $1::text as what';
  await connection.query({ sql, values: [${expression}], type: 'SLONIK_TOKEN_SQL' });
} };
`;

async function readTold({ query }: Sandbox): Promise<string> {
  const [row] = await query<{ what: string }>('select what from told');
  return row?.what ?? '';
}

async function findProgram(name: string): Promise<string> {
  const { stdout } = await promisify(execFile)('sh', ['-c', `command -v ${name}`]);
  return stdout.trim();
}

const pair = {
  '1.0.0-1-first.sql': 'create table first (id int);',
  '1.1.0-2-second.up.sql': 'create table second (id int);',
  '1.1.0-2-second.down.sql': 'drop table second;',
} as const;

describe.concurrent('the action', () => {
  test('gives no input to a shell as text', () => {
    expect(step.run).not.toContain('${{');
    for (const text of Object.values(step.env)) expect(text).toMatch(/^\$\{\{ inputs\.[\w-]+ \}\}$/);
    const used = [...Object.values(step.env), step['working-directory']].map((text) => text.slice(11, -3));
    expect(used.sort()).toEqual(Object.keys(action.inputs).sort());
  });

  test('needs the Node that the package needs', async () => {
    const [, needed] = /^needed_node=(\d+)$/m.exec(await readFile('action/run.sh', 'utf8')) ?? [];
    expect(manifest.engines.node).toBe(`>=${needed}`);
  });

  test('without an input deploys the released alterations to the database of the environment', async () => {
    const product = await createProduct(pair);

    const { exitCode, commands, outputs, summary } = await runStep(product);

    expect({ exitCode, commands }).toEqual({ exitCode: 0, commands: [] });
    expect(outputs).toEqual({
      applied: '2',
      'rolled-back': '0',
      planned: '0',
      pending: '0',
      version: '1.1.0',
      'exit-code': '0',
    });
    expect(summary).toContain('applied 2 alterations, the database is at 1.1.0');
  });

  test('takes command, target, folder, options and working directory', async () => {
    const product = await createProduct({});
    const dir = join(product.root, 'packages/app/db steps');
    await mkdir(dir, { recursive: true });
    for (const [name, text] of Object.entries(pair)) await writeFile(join(dir, name), text);
    const common = { dir: 'db steps', 'working-directory': 'packages/app' };

    const planned = await runStep(product, {
      inputs: { ...common, target: '1.0.0', args: ' --dry-run\n--strict-order\n' },
    });
    const deployed = await runStep(product, { inputs: { ...common, target: 'latest' } });
    const rolledBack = await runStep(product, {
      inputs: { ...common, command: 'rollback', target: '1.0.0', args: '--yes' },
    });
    const checked = await runStep(product, { inputs: { ...common, command: 'check' } });

    expect(planned.outputs).toMatchObject({ planned: '1', applied: '0', pending: '2', version: '' });
    expect(deployed.outputs).toMatchObject({ applied: '2', version: '1.1.0' });
    expect(rolledBack.outputs).toMatchObject({ 'rolled-back': '1', version: '1.0.0', 'exit-code': '0' });
    expect(checked).toMatchObject({ exitCode: 3, outputs: { pending: '1', 'exit-code': '3' } });
  });

  test('annotates the line that failed, tells what was applied before, and ends with the exit code', async () => {
    const product = await createProduct({
      ...pair,
      '1.2.0-3-third.sql': 'select 1;\n\nselect * from nowhere;\n',
    });

    const { exitCode, commands, outputs, summary } = await runStep(product);

    expect(exitCode).toBe(4);
    expect(commands).toMatchObject([
      { name: 'error', properties: { file: 'alterations/1.2.0-3-third.sql', line: '3' } },
    ]);
    expect(outputs).toMatchObject({ applied: '2', pending: '1', 'exit-code': '4' });
    expect(summary).toContain('relation "nowhere" does not exist');
  });

  test('passes the database on in the environment, before any of the job, and never as an argument', async () => {
    const product = await createProduct({
      '1.0.0-1-tell.mjs': tellingModule(
        'process.argv.join(" ") + " | " + Object.keys(process.env).join(" ")',
      ),
    });
    const elsewhere = 'postgres://nobody@127.0.0.1:1/nowhere';

    const { exitCode, stdout, stderr, summary } = await runStep(product, {
      inputs: { 'db-url': product.url },
      env: { DB_URL: elsewhere, ALTERATION_DB_URL: elsewhere },
    });

    expect(exitCode).toBe(0);
    const [argv, variables] = (await readTold(product)).split(' | ');
    expect(argv).toMatch(/ deploy$/);
    expect(variables).toMatch(/\bDB_URL\b/);
    expect(variables).not.toMatch(/ACTION_DB_URL|ALTERATION_DB_URL/);
    expect(stdout + stderr + summary).not.toContain(encodeURIComponent(password));
  });

  test.each([
    [{ command: 'depoly' }, 2, 'Unknown command "depoly".'],
    [{ command: '$(touch pwned)' }, 2, 'Unknown command "$(touch pwned)".'],
    [{ target: '--help' }, 2, '"--help" is not a target.'],
    [{ target: '; touch pwned' }, 2, '"; touch pwned" is not a target.'],
    [{ args: '$(touch pwned)' }, 2, 'Too many arguments for "deploy".'],
    [{ args: '--wait *' }, 2, 'Unknown option "--wait".'],
    [{ dir: '`touch pwned`' }, 2, '`touch pwned`" cannot be read: it does not exist.'],
  ])('answers %j with the command’s own error', async (inputs, code, message) => {
    const product = await createProduct(pair);

    const { exitCode, commands } = await runStep(product, { inputs });

    expect(exitCode).toBe(code);
    expect(commands).toMatchObject([{ name: 'error', message: expect.stringContaining(message) }]);
    await expect(access(join(product.root, 'pwned'))).rejects.toThrow('ENOENT');
  });

  test('finds the runner of a workspace in a folder above', async () => {
    const product = await createProduct(pair);
    await mkdir(join(product.root, 'packages'));

    const { exitCode } = await runStep(product, {
      inputs: { 'working-directory': 'packages', dir: '../alterations' },
    });

    expect(exitCode).toBe(0);
  });

  test('hands a cancelled job’s signal to the command, which stops at a safe point', async () => {
    const product = await createProduct({ ...pair, '1.2.0-3-slow.sql': 'select pg_sleep(60);' });
    const { process: child, result } = await startStep(product, { inputs: { args: '--grace 0' } });
    await waitUntil('the slow alteration is under way', async () => {
      const rows = await product.query(
        `select from pg_stat_activity where datname = current_database() and query like '%pg_sleep(60)%' and pid <> pg_backend_pid()`,
      );
      return rows.length > 0;
    });

    child.kill('SIGINT'); // to the one process that the runner knows

    expect(await result).toMatchObject({ exitCode: 130, outputs: { applied: '2', pending: '1' } });
  });
});

describe('the action, where npm has to bring something', () => {
  test('takes the version that was asked for, whatever is installed', async () => {
    const product = await createProduct(pair);
    await rm(join(product.root, 'node_modules/.bin/alteration')); // it would not run
    await writeFile(join(product.root, 'node_modules/.bin/alteration'), '#!/bin/sh\nexit 99\n', {
      mode: 0o755,
    });
    await rm(join(product.root, 'node_modules/postgres-alteration'), { recursive: true });

    const { exitCode, outputs } = await runStep(product, { inputs: { version: manifest.version } });

    expect(exitCode).toBe(0);
    expect(outputs).toMatchObject({ applied: '2', version: '1.1.0' });
    expect(registry.requests).toContain(`postgres-alteration@${manifest.version}`);
  });

  test('takes the newest where none is installed, and npm’s Node where the machine’s is too old', async () => {
    const product = await createSandbox(pair);
    await rm(join(product.root, 'node_modules'));
    await writeFile(join(product.dir, '1.2.0-3-tell.mjs'), tellingModule('process.env.NODE_FROM'));

    const { exitCode, stderr, outputs } = await runStep(product, { path: join(files, 'old-node') });

    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(outputs).toMatchObject({ applied: '3', version: '1.2.0' });
    expect(await readTold(product)).toBe('node@24.99.0 of npm');
  });

  test('takes npm’s Node for the installed runner too', async () => {
    const product = await createProduct({ '1.0.0-1-tell.mjs': tellingModule('process.env.NODE_FROM') });

    const { exitCode } = await runStep(product, { path: join(files, 'old-node') });

    expect(exitCode).toBe(0);
    expect(await readTold(product)).toBe('node@24.99.0 of npm');
  });

  test('says what to do where there is no npm', async () => {
    const product = await createProduct(pair);
    const tools = join(product.root, 'tools');
    await mkdir(tools);
    for (const name of ['bash', 'dirname', 'sed']) await symlink(await findProgram(name), join(tools, name));

    const { exitCode, commands } = await runStep(product, { env: { PATH: tools } });

    expect(exitCode).toBe(2);
    expect(commands).toMatchObject([
      {
        name: 'error',
        message: 'There is no npm on this runner. Add a step with actions/setup-node before.',
      },
    ]);
  });

  test('says what npm could not install', async () => {
    const product = await createProduct(pair);

    const version = '99.0.0\n::warning::100%';
    const { exitCode, commands } = await runStep(product, { inputs: { version } });

    expect(exitCode).toBe(2);
    expect(commands).toMatchObject([
      {
        name: 'error',
        message: `npm could not install what was asked for: --package postgres-alteration@${version}`,
      },
    ]);
  });
});
