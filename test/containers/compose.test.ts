import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, inject, test } from 'vitest';
import { runDocker } from '../support/docker.ts';
import { writeFiles } from '../support/folder.ts';
import { type ProgramResult, runProgram } from '../support/run-program.ts';
import { whenOver } from '../support/when-over.ts';

/** `docker compose`, or, where the engine is older, the program of its own. */
async function findCompose(): Promise<readonly [program: string, args: readonly string[]]> {
  const { exitCode } = await runDocker(['compose', 'version']);
  return exitCode === 0 ? ['docker', ['compose']] : ['docker-compose', []];
}

interface Composition {
  readonly compose: (...args: string[]) => Promise<ProgramResult>;
  /** Of a service: `running`, `exited 0`, or undefined when it was never created or started. */
  readonly stateOf: (service: string) => Promise<string | undefined>;
}

/** The compose file with the image that is built already, and what the files add to it; it goes with the test. */
async function openComposition(
  override: (folder: string) => object = () => ({}),
  files: Readonly<Record<string, string>> = {},
) {
  const folder = await mkdtemp(join(tmpdir(), 'alteration-compose-'));
  const services = { services: { alteration: { image: inject('images').example, ...override(folder) } } };
  await writeFiles(folder, { 'override.json': JSON.stringify({ version: '3.9', ...services }), ...files });
  const project = `alteration-test-${randomBytes(4).toString('hex')}`;
  const [program, args] = await findCompose();
  const given = [
    '--file',
    'deploy/compose.yaml',
    '--file',
    join(folder, 'override.json'),
    '--project-name',
    project,
  ];
  const compose = (...command: string[]) => runProgram(program, [...args, ...given, ...command]);
  whenOver(async () => {
    await compose('down', '--volumes', '--timeout', '1');
    await rm(folder, { recursive: true, force: true });
  });
  const composition: Composition = {
    compose,
    stateOf: async (service) => {
      const filters = [`project=${project}`, `service=${service}`].flatMap((label) => [
        '--filter',
        `label=com.docker.compose.${label}`,
      ]);
      const ids = (await runDocker(['ps', '--all', '--quiet', ...filters])).stdout.trim();
      if (ids === '') return undefined;
      const format = '{{.State.Status}} {{.State.ExitCode}} {{.State.StartedAt}}';
      const { stdout } = await runDocker(['inspect', '--format', format, ids]);
      const [status = '', exitCode = '', startedAt = ''] = stdout.trim().split(' ');
      if (startedAt.startsWith('0001-')) return undefined;
      return status === 'exited' ? `exited ${exitCode}` : status;
    },
  };
  return { ...composition, folder };
}

test('the application starts when the alterations are applied, also when there is nothing to do', async () => {
  const { compose, stateOf } = await openComposition();
  for (const expected of ['Applied 28 alterations', 'Nothing to do']) {
    expect(await compose('up', '--detach')).toMatchObject({ exitCode: 0 });
    expect([await stateOf('alteration'), await stateOf('application')]).toEqual(['exited 0', 'running']);
    expect((await compose('logs', '--no-color', 'alteration')).stdout).toContain(expected);
  }
});

test('the application does not start when an alteration fails, and does once it is mended', async () => {
  const { compose, stateOf, folder } = await openComposition(
    (own) => ({ volumes: [`${own}/used:/app/alterations:ro`] }),
    { 'used/1.0.0-1-a.sql': 'create table a (id int); insert into nowhere values (1);' },
  );
  expect((await compose('up', '--detach')).exitCode).not.toBe(0);
  expect([await stateOf('alteration'), await stateOf('application')]).toEqual(['exited 4', undefined]);
  await writeFiles(folder, { 'used/1.0.0-1-a.sql': 'create table a (id int); insert into a values (1);' });
  expect(await compose('up', '--detach')).toMatchObject({ exitCode: 0 });
  expect([await stateOf('alteration'), await stateOf('application')]).toEqual(['exited 0', 'running']);
});
