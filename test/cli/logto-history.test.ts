import { cp, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { createFolder } from '../support/folder.ts';
import { createLogtoDatabase, logto130, logtoScripts, scriptsBetween } from '../support/logto.ts';

test('the scripts of Logto go down and up by the command line, and stdout holds nothing but the reports', async () => {
  const { url } = await createLogtoDatabase(logto130);
  const folder = await createFolder({});
  await cp(logtoScripts.typescript, folder, { recursive: true }); // Node strips types of what is not in node_modules
  const cwd = dirname(folder);
  await writeFile(join(cwd, 'alteration.config.json'), '{ "rows": "logto" }');
  const run = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await runCli([...args, '--json'], { cwd, env: { DB_URL: url } });
    expect(exitCode, stderr).toBe(0);
    return JSON.parse(stdout);
  };

  await run('baseline', '1.30.0');
  // Among these is one that prints a line with console.info, up and down.
  const down = await run('rollback', '1.16.0', '--yes');
  expect(down.rolledBack).toHaveLength((await scriptsBetween('1.16.0', '1.30.0')).length);
  const up = await run('deploy', 'latest');
  expect(up.applied).toHaveLength((await scriptsBetween('1.16.0')).length);
  expect(await run('check')).toMatchObject({ result: 'up-to-date', version: '1.43.0' });
});
