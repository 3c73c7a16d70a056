import { describe, expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { useSandboxes } from '../support/sandbox.ts';
import { moduleHistory, sqlHistory } from './history.ts';
import { type LoadedFile, listLoadedFiles } from './loaded-files.ts';

interface Budget {
  readonly files: number;
  readonly bytes: number;
}

/** Each file is read, compiled and linked before anything happens; Node itself starts in 26 ms, and a no-op is not much more. */
const budgets = {
  /** Node's own start, and a number: what the entry needs to tell that nothing else is asked for. */
  version: { files: 2, bytes: 16 * 1_024 },
  /** The entry, one file for the command line and one for a deploy, with the driver, and what loads others. */
  noOp: { files: 4, bytes: 384 * 1_024 },
} satisfies Record<string, Budget>;

/** What only work needs: schemas, the tree of commands, logs, scripts' connections, parsers, TypeScript. */
const workOnly = /^(?:zod|commander|pino|slonik|@slonik\/(?!errors$).*|@babel\/.*|libpg-query|jiti)$/;

const createSandbox = useSandboxes();

test('--version loads next to nothing', async () => {
  const loaded = await listLoadedFiles(async (env) => {
    expect(await runCli(['--version'], { env })).toMatchObject({ exitCode: 0 });
  });

  expectWithin(loaded, budgets.version);
});

describe('a deploy with nothing to do', () => {
  test.for([
    ['SQL', sqlHistory(10, 1)],
    ['TypeScript', moduleHistory(10, 1)],
  ] as const)('loads no more of the runner than it needs for files of %s', async ([, files]) => {
    const { run } = await createSandbox(files);
    const deploy = async (env: Readonly<Record<string, string>> = {}) => {
      expect(await run(['deploy', 'latest'], { env })).toMatchObject({ exitCode: 0 });
    };
    await deploy();

    const loaded = await listLoadedFiles(deploy);

    expectWithin(loaded, budgets.noOp);
  });
});

test.for([
  ['SQL', sqlHistory(1, 2), ['libpg-query']],
  ['TypeScript', moduleHistory(1, 2), ['slonik', 'zod']],
] as const)(
  'a deploy that has files of %s to run is seen to load what that needs',
  async ([, files, packages]) => {
    const { run } = await createSandbox(files);

    const loaded = await listLoadedFiles((env) => run(['deploy', 'latest'], { env }));

    expect(workPackages(loaded)).toEqual(expect.arrayContaining([...packages]));
  },
);

function expectWithin(loaded: readonly LoadedFile[], budget: Budget): void {
  const files = loaded.length;
  const bytes = loaded.reduce((sum, file) => sum + file.bytes, 0);
  const lines = loaded.map(({ path, bytes: own, packages }) => `  ${own} ${path} (${packages.join(', ')})`);
  const told = [
    `${files} of ${budget.files} files and ${bytes} of ${budget.bytes} bytes:`,
    ...lines,
    '',
  ].join('\n');
  expect(
    { tooManyFiles: files > budget.files, tooManyBytes: bytes > budget.bytes, of: workPackages(loaded) },
    told,
  ).toEqual({ tooManyFiles: false, tooManyBytes: false, of: [] });
}

function workPackages(loaded: readonly LoadedFile[]): readonly string[] {
  return [...new Set(loaded.flatMap(({ packages }) => packages))]
    .filter((name) => workOnly.test(name))
    .sort();
}
