import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { deployReportSchema, listReportSchema, statusReportSchema } from '../../src/index.ts';
import { moduleText } from '../support/module-text.ts';
import { type Sandbox, useSandboxes } from '../support/sandbox.ts';
import { waitUntil } from '../support/wait-until.ts';

const createSandbox = useSandboxes();
const files = { '1.0.0-1-a.sql': 'create table a (id int);', '1.0.0-2-b.sql': 'create table b (id int);' };
const embedded = { DB_URL: 'embedded:database' }; // in the folder where the command runs

/** A server writes this file when it starts and removes it when it stops. */
function isServerRunning({ root }: Sandbox): Promise<boolean> {
  return access(join(root, 'database', 'data', 'postmaster.pid')).then(
    () => true,
    () => false,
  );
}

describe.concurrent('a PostgreSQL of the command’s own', () => {
  test('keeps what is deployed, and is stopped after each command', async () => {
    const sandbox = await createSandbox(files);
    const run = async (...args: string[]): Promise<unknown> => {
      const result = await sandbox.run([...args, '--json'], { env: embedded });
      expect(result).toMatchObject({ exitCode: 0 });
      expect(await isServerRunning(sandbox)).toBe(false);
      return JSON.parse(result.stdout);
    };
    expect(deployReportSchema.parse(await run('deploy')).applied).toHaveLength(2);
    expect(statusReportSchema.parse(await run('status')).version).toBe('1.0.0');
    const { alterations } = listReportSchema.parse(await run('list'));
    expect(alterations.map(({ state }) => state)).toEqual(['applied', 'applied']);
    expect(deployReportSchema.parse(await run('deploy')).applied).toEqual([]);
  });

  test('serves two deploys at once, which apply each alteration once', async () => {
    const sandbox = await createSandbox(files);
    const results = await Promise.all([1, 2].map(() => sandbox.run(['deploy', '--json'], { env: embedded })));
    expect(results).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }]);
    const applied = results.flatMap(({ stdout }) => deployReportSchema.parse(JSON.parse(stdout)).applied);
    expect(applied.map(({ id }) => id)).toEqual(['1', '2']);
    expect(await isServerRunning(sandbox)).toBe(false);
  });

  test('is stopped after a script that never settles', async () => {
    const sandbox = await createSandbox({
      '1.0.0-1-a.ts': moduleText('await new Promise(() => {});'),
    });
    const first = await sandbox.run(['deploy', 'latest'], { env: embedded });
    expect(first).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('it never settles') });
    expect(await isServerRunning(sandbox)).toBe(false);
  });

  test('is stopped after a signal', async () => {
    const sandbox = await createSandbox({ ...files, '1.0.0-3-c.sql': 'select pg_sleep(600);' });
    const run = sandbox.start(['deploy', '--log-level', 'debug', '--log-format', 'json'], {
      env: embedded,
    });
    await waitUntil('it sleeps', async () => run.stderr().includes('pg_sleep'));
    expect(await isServerRunning(sandbox)).toBe(true);
    run.kill('SIGTERM');
    await waitUntil('it is to stop', async () => run.stderr().includes('Stopping'));
    run.kill('SIGTERM');
    expect(await run.result).toMatchObject({ exitCode: 143 });
    expect(await isServerRunning(sandbox)).toBe(false);
  });
});
