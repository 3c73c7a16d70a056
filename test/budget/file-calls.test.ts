import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Sandbox, useSandboxes } from '../support/sandbox.ts';
import { listFileCalls } from './file-calls.ts';
import { moduleHistory, sqlHistory } from './history.ts';

/** Of one file of the folder: how often it is opened, and how often the system is asked for anything about it. */
interface Budget {
  readonly opens: number;
  readonly calls: number;
}

const budgets = {
  /** Names, and which of them are files. */
  folder: 1,
  /** Read for its checksum, or looked at to see that it is what it was. */
  noOp: { opens: 1, calls: 1 },
  /** Read while the connection is made, when nobody knows what is applied; and read, and run from what was read. */
  sqlDeploy: { opens: 2, calls: 2 },
  /** The same; and Node, which imports it, looks for it, at it, opens it, and asks how long it is. */
  moduleDeploy: { opens: 3, calls: 7 },
} satisfies Record<string, number | Budget>;

const createSandbox = useSandboxes();

test('with nothing to do each of 1,000 files is asked for once', async () => {
  const sandbox = await createSandbox(sqlHistory(1_000, 1));
  await sandbox.run(['deploy', 'latest']);

  expectWithin(await deploy(sandbox), 1_000, budgets.noOp);
});

test('with nothing to do each TypeScript file is asked for once', async () => {
  const sandbox = await createSandbox(moduleHistory(20, 1));
  await sandbox.run(['deploy', 'latest']);

  expectWithin(await deploy(sandbox), 20, budgets.noOp);
});

test('a deploy reads each SQL file once more', async () => {
  const sandbox = await createSandbox(sqlHistory(40, 2));

  expectWithin(await deploy(sandbox), 40, budgets.sqlDeploy);
});

test('a deploy reads each TypeScript file once more, and so does Node', async () => {
  const sandbox = await createSandbox(moduleHistory(20, 2));

  expectWithin(await deploy(sandbox), 20, budgets.moduleDeploy);
});

interface Counts {
  /** How often the folder was read. */
  readonly folder: number;
  /** Of each of its files. */
  readonly files: readonly Budget[];
}

/** Counts what a deploy asks for in the alterations folder. */
async function deploy({ root, dir, url }: Sandbox): Promise<Counts> {
  const calls = await listFileCalls(['deploy', 'latest'], { cwd: root, env: { DB_URL: url } });
  const files = Map.groupBy(
    calls.filter(({ path }) => path.startsWith(join(dir, '1.'))), // and no package.json, which Node looks for once
    ({ path }) => path,
  );
  return {
    folder: calls.filter(({ kind, path }) => kind === 'open' && path === dir).length,
    files: [...files.values()].map((own) => ({
      opens: own.filter(({ kind }) => kind === 'open').length,
      calls: own.length,
    })),
  };
}

function expectWithin({ folder, files }: Counts, count: number, budget: Budget): void {
  const opens = Math.max(...files.map((file) => file.opens));
  const calls = Math.max(...files.map((file) => file.calls));
  const told = `the folder was read ${folder} times, a file opened ${opens} times at most, with ${calls} calls in all`;
  expect(files, 'all files are asked for').toHaveLength(count);
  expect(folder, told).toBeLessThanOrEqual(budgets.folder);
  expect(opens, told).toBeLessThanOrEqual(budget.opens);
  expect(calls, told).toBeLessThanOrEqual(budget.calls);
}
