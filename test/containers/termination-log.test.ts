import { describe, expect, inject, test } from 'vitest';
import { createDatabase } from '../support/database.ts';
import { insideUrl, locked, runContainer, startContainer, ways } from '../support/runner-container.ts';
import { mountTerminationLog } from '../support/termination-log.ts';
import { waitUntil } from '../support/wait-until.ts';

const image = inject('images').example;

describe.for(ways)('the termination message by %s', ([, commandOf]) => {
  test('tells what was done', async () => {
    const { mount, read } = await mountTerminationLog();
    const options = [...locked, mount];
    const env = { DB_URL: insideUrl((await createDatabase()).url) };

    const { exitCode } = await runContainer({ image, env, options }, commandOf('deploy 1.0.0'));

    expect(exitCode).toBe(0);
    expect(await read()).toMatch(/^deploy: applied \d+ alterations, the database is at 1\.0\.0$/);
  });

  test('tells why it failed, without the password', async () => {
    const { mount, read } = await mountTerminationLog();
    const options = [...locked, mount];
    const env = { DB_URL: 'postgres://me:S3CRET@127.0.0.1:1/app', ALTERATION_CONNECT_WAIT: '0' };

    const { exitCode } = await runContainer({ image, env, options }, commandOf('deploy latest'));

    expect(exitCode).toBe(9);
    expect(await read()).toMatch(/^exit 9: .*127\.0\.0\.1:1/);
    expect(await read()).not.toContain('S3CRET');
  });

  test('tells of a mistake in the command line', async () => {
    const { mount, read } = await mountTerminationLog();
    const options = [...locked, mount];

    const { exitCode } = await runContainer({ image, options }, commandOf('depoly latest'));

    expect(exitCode).toBe(2);
    expect(await read()).toBe('exit 2: Unknown command "depoly". Did you mean deploy?');
  });

  test('tells that it was stopped', async () => {
    const { mount, read } = await mountTerminationLog();
    const options = [...locked, mount];
    const env = { DB_URL: 'postgres://me@127.0.0.1:1/app', ALTERATION_CONNECT_WAIT: '10m' };
    const container = await startContainer({ image, env, options }, commandOf('deploy latest'));
    await waitUntil('it waits for the database', async () => (await container.log()).includes('waiting'));

    await container.stop(20);

    expect(await container.ended()).toBe(143);
    expect(await read()).toMatch(/^exit 143: Stopped by SIGTERM\./);
  });
});

test('no termination log is made where none is mounted', async () => {
  const script = 'node dist/bin.js deploy; ls /dev/termination-log';

  const { stderr } = await runContainer({ image }, { command: ['/bin/sh', '-c', script] });

  expect(stderr).toContain('No database is named.');
  expect(stderr).toMatch(/ls: .*No such file or directory/);
});
