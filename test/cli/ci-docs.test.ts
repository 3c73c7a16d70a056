import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { parseArguments } from '../../src/cli/program.ts';
import { packRepository } from '../support/npm-registry.ts';
import { installRunner } from '../support/product.ts';
import { type Sandbox, useSandboxes } from '../support/sandbox.ts';

const run = promisify(execFile);
const createSandbox = useSandboxes();

const stepSchema = z.object({
  id: z.string().optional(),
  uses: z.string().optional(),
  run: z.string().optional(),
  with: z.record(z.string(), z.unknown()).optional(),
  env: z.record(z.string(), z.string()).optional(),
});
const workflowSchema = z.object({
  name: z.string(),
  on: z.union([z.string(), z.record(z.string(), z.unknown())]),
  permissions: z.record(z.string(), z.string()),
  jobs: z.record(
    z.string(),
    z.object({
      'runs-on': z.string(),
      needs: z.string().optional(),
      outputs: z.record(z.string(), z.string()).optional(),
      steps: z.array(stepSchema),
    }),
  ),
});
const pipelineJobSchema = z.object({
  stage: z.string(),
  script: z.array(z.string()),
  rules: z.array(z.object({ if: z.string() }).loose()),
});
const actionSchema = z.object({
  inputs: z.record(z.string(), z.unknown()),
  outputs: z.record(z.string(), z.unknown()),
});

const page = await readFile('docs/ci.md', 'utf8');
const action = actionSchema.parse(parse(await readFile('action.yml', 'utf8')));
const blocks = [...page.matchAll(/^```yaml\n# (\S+)\n([\s\S]*?)^```$/gm)].map(([, file = '', text = '']) => ({
  file,
  text,
}));
const workflows = blocks
  .filter(({ file }) => file.startsWith('.github/workflows/'))
  .map(({ file, text }) => ({ file, ...workflowSchema.parse(parse(text)) }));
const pipelines = blocks
  .filter(({ file }) => file === '.gitlab-ci.yml')
  .map(({ text }) => {
    const { stages, default: _, ...jobs } = z.record(z.string(), z.unknown()).parse(parse(text));
    return {
      stages: z.array(z.string()).parse(stages),
      jobs: z.record(z.string(), pipelineJobSchema).parse(jobs),
    };
  });

const workflowSteps = workflows.flatMap(({ file, jobs }) =>
  Object.entries(jobs).flatMap(([job, { steps }]) =>
    steps.map((step) => ({ place: `${file} ${job}`, step })),
  ),
);
const actionSteps = workflowSteps.filter(({ step }) => step.uses?.includes('/postgres-alteration@'));
const scripts = [
  ...workflowSteps.flatMap(({ step }) => step.run?.split('\n') ?? []),
  ...pipelines.flatMap(({ jobs }) => Object.values(jobs).flatMap(({ script }) => script)),
];
const commands = [...new Set(scripts.filter((line) => /\balteration\b/.test(line)))];

/** Words of a shell line; a variable is what it would be. */
function splitWords(line: string): readonly string[] {
  return line.split(' ').map((word) => word.replace(/^"?\$\w+"?$/, '1.5.0'));
}

describe('the pipelines of docs/ci.md', () => {
  test('are the three uses, for GitHub and for GitLab', () => {
    expect(workflows.map(({ file }) => file)).toEqual([
      '.github/workflows/alterations.yml',
      '.github/workflows/release.yml',
      '.github/workflows/deploy.yml',
      '.github/workflows/rollback.yml',
    ]);
    expect(pipelines).toHaveLength(3);
    expect(blocks).toHaveLength(page.match(/^```yaml$/gm)?.length ?? 0);
  });

  test.each(commands)('%s is a command line that the program takes', (line) => {
    const [, words = ''] = /^(?:\w+="?\$\w+"? )?npx alteration (.*)$/.exec(line) ?? [];

    expect(parseArguments(splitWords(words), 80)).toMatchObject({ kind: 'command' });
  });

  test.each(actionSteps)(
    'the action in $place gets inputs that it has, and a command that there is',
    ({ step }) => {
      const { command = 'deploy', target, args } = z.record(z.string(), z.string()).parse(step.with);

      expect(Object.keys(action.inputs)).toEqual(expect.arrayContaining(Object.keys(step.with ?? {})));
      const words = [command, ...(args?.split(' ') ?? []), ...(target ? ['--', '1.5.0'] : [])];
      expect(parseArguments(words, 80)).toMatchObject({ kind: 'command', name: command });
    },
  );

  test('read outputs and needs that there are', () => {
    for (const { jobs } of workflows) {
      const ids = Object.values(jobs).flatMap(({ steps }) => steps.flatMap(({ id }) => id ?? []));
      for (const [, id, output] of JSON.stringify(jobs).matchAll(/steps\.([\w-]+)\.outputs\.([\w-]+)/g)) {
        expect(ids).toContain(id);
        expect(Object.keys(action.outputs)).toContain(output);
      }
      for (const [, job = '', output] of JSON.stringify(jobs).matchAll(
        /needs\.([\w-]+)\.outputs\.([\w-]+)/g,
      )) {
        expect(Object.keys(jobs[job]?.outputs ?? {})).toContain(output);
      }
      for (const { needs } of Object.values(jobs)) {
        if (needs !== undefined) expect(Object.keys(jobs)).toContain(needs);
      }
    }
    for (const { stages, jobs } of pipelines) {
      for (const { stage } of Object.values(jobs)) expect(stages).toContain(stage);
    }
  });

  test('put no expression into shell text', () => {
    expect(workflowSteps.filter(({ step }) => step.run?.includes('${{'))).toEqual([]);
  });

  test('tell every input and every output of the action', () => {
    const told = [...page.matchAll(/^\| `([\w-]+)` +\|/gm)].map(([, name]) => name);

    expect(told).toEqual([...Object.keys(action.outputs), ...Object.keys(action.inputs)]);
  });
});

describe.concurrent('when they are run as they stand', () => {
  let unpacked = '';
  beforeAll(async () => {
    unpacked = await mkdtemp(join(tmpdir(), 'alteration-package-'));
    await packRepository(unpacked);
  });
  afterAll(() => rm(unpacked, { recursive: true, force: true }));

  const alterations = {
    '1.4.0-1-first.sql': 'create table first (id int);',
    'next-2-second.up.sql': 'create table second (id int);',
    'next-2-second.down.sql': 'drop table second;',
  } as const;

  /** A product in a repository of its own, with a bare one to push to. */
  async function createProduct(): Promise<Sandbox> {
    const sandbox = await createSandbox(alterations);
    const { root } = sandbox;
    await installRunner(root, unpacked);
    await writeFile(join(root, '.gitignore'), 'node_modules\n/origin.git\n');
    await shell(sandbox, [
      'git init --quiet --initial-branch main && git init --quiet --bare origin.git',
      'git remote add origin "$PWD/origin.git" && git add .',
      'git -c user.name=Me -c user.email=me@example.com commit --quiet --message "Begin"',
    ]);
    return sandbox;
  }

  /** Each script as the shell of a step runs it. */
  async function shell({ root, url }: Sandbox, lines: readonly string[], env: Record<string, string> = {}) {
    const options = {
      cwd: root,
      env: { PATH: process.env['PATH'], HOME: root, DB_URL: url, CI: 'true', ...env },
    };
    for (const line of lines) await run('bash', ['-e', '-o', 'pipefail', '-c', line], options);
  }

  /** The scripts of a job, but for what the sandbox has already. */
  const scriptsOf = (file: string, job: string) =>
    workflowSteps
      .filter(({ place }) => place === `.github/workflows/${file} ${job}`)
      .flatMap(({ step }) => step.run ?? [])
      .filter((script) => script !== 'npm ci');

  test('the pull request’s files are checked, and its alterations go up, down and up again', async () => {
    const product = await createProduct();

    await shell(product, scriptsOf('alterations.yml', 'files'));
    await shell(product, scriptsOf('alterations.yml', 'database'));

    const rows = await product.query<{ name: string }>('select name from alteration_history order by name');
    expect(rows.map(({ name }) => name)).toEqual(['first', 'second']);
  });

  test('the release is committed, tagged and pushed with its new names', async () => {
    const product = await createProduct();

    await shell(product, scriptsOf('release.yml', 'release'), {
      VERSION: '1.5.0',
      GITHUB_REF: 'refs/heads/main',
    });

    const { stdout } = await run('git', ['ls-tree', '--name-only', 'v1.5.0', 'alterations/'], {
      cwd: join(product.root, 'origin.git'),
    });
    expect(stdout.trim().split('\n')).toEqual([
      'alterations/1.4.0-1-first.sql',
      'alterations/1.5.0-2-second.down.sql',
      'alterations/1.5.0-2-second.up.sql',
    ]);
  });
});
