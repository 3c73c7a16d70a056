import { execFile } from 'node:child_process';
import { access, chmod, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { type FolderCheckReport, folderCheckReportSchema } from '../../src/index.ts';
import type { CliResult } from '../support/cli.ts';
import { library } from '../support/library.ts';
import { openRepository, type Repository, useRepositories } from '../support/repository.ts';
import { strictSchema } from '../support/strict-schema.ts';
import { waitUntil } from '../support/wait-until.ts';

const run = promisify(execFile);
const repositories = useRepositories();

/** A module whose `up` returns this. */
const script = (text = 'done') => `export default {\n  up: async () => '${text}',\n};\n`;
const createTable = (name: string) => `create table ${name} (id int);\n`;

/** The lines of stdout, after it was seen that all else is as it must be. */
function linesOf({ stdout, stderr, exitCode }: CliResult, expected: 'passed' | 'failed'): readonly string[] {
  expect(stderr).toBe('');
  expect(exitCode).toBe(expected === 'passed' ? 0 : 8);
  return stdout.trimEnd().split('\n');
}

/** Expects no problem, and what the closing line says of the comparison. */
function expectPassed(result: CliResult, comparison: string): void {
  const lines = linesOf(result, 'passed');
  expect(lines).toEqual([expect.stringMatching(/^\d+ alterations?: no problems \(.*\)\.$/)]);
  expect(lines[0]).toContain(`(${comparison})`);
}

/** Expects these problems and no other: the beginning and a part of each line. */
function expectProblems(
  result: CliResult,
  ...expected: readonly (readonly [place: string, says: string])[]
): void {
  const lines = linesOf(result, 'failed');
  expect(lines.slice(0, -1).map((line) => line.split(': ')[0])).toEqual(expected.map(([place]) => place));
  for (const [index, [, says]] of expected.entries()) expect(lines[index]).toContain(says);
  expect(lines.at(-1)).toMatch(new RegExp(`^${expected.length} problems? in \\d+ alterations?`));
}

/** A repository with a release 1.0.0, tagged. */
async function createReleased(files: Readonly<Record<string, string>>, folder?: string): Promise<Repository> {
  const repository = await repositories.create(folder);
  await repository.commit(files);
  await repository.git('tag', 'v1.0.0');
  await repository.commit({});
  return repository;
}

const released = 'compared with v1.0.0';
const history = "compared with git's history";

describe.concurrent('without a repository the folder is checked by itself', () => {
  const nowhere = 'not in a git repository: order and released files were not compared';

  test('and passes, needing no database', async () => {
    const { check } = await repositories.createPlain({
      '1.0.0-1-a.ts': script(),
      '1.0.0-2-b.sql': createTable('b'),
      'next-3-c.up.sql': createTable('c'),
      'next-3-c.down.sql': 'drop table c;',
      'README.md': '# Alterations',
    });

    const result = await check([], { env: { DB_URL: 'postgres://127.0.0.1:1/nowhere' } });

    expect(linesOf(result, 'passed')).toEqual([`3 alterations: no problems (${nowhere}).`]);
  });

  test('and every problem of every kind is told at once, with its place', async () => {
    const { check } = await repositories.createPlain({
      '1.0.0-1-fine.sql': createTable('fine'),
      '1.0.0-2-syntax.sql':
        'create table a (id int);\n\ncreate tabel b (id int);\nselect 1;\nselect from where;\n',
      '1.0.0-3-concurrent.sql': 'create table a (id int);\n  create index concurrently i on a (id);\n',
      '1.0.0-4-pair.up.sql': 'begin;\n',
      '1.0.0-4-pair.down.sql': 'select 1;\n\\i other.sql\n',
      '1.0.0-5-empty.sql': '',
      '1.0.0-6-no-up.ts': 'export default { down: async () => undefined };\n',
      '1.0.0-7-syntax.ts': 'export default {\n  up: async () => {\n    const = 1;\n  },\n};\n',
      '1.0.0-8-throws.ts': `import './utils/throws.ts';\n${script()}`,
      '1.0.0-9-misspelt.sql': 'creat table a (id int);',
      'utils/throws.ts': `export const limits = {};\nJSON.parse('{');\n`,
      'v1.0.0-10-name.ts': script(),
      '1.0.0-11-one.ts': script(),
      'next-11-other.ts': script(),
      'next-12-alone.down.sql': 'select 1;',
    });

    expectProblems(
      await check(),
      ['alterations/1.0.0-11-one.ts', 'have the timestamp 11'],
      ['alterations/1.0.0-2-syntax.sql:3:8', 'syntax error at or near "tabel"'],
      ['alterations/1.0.0-2-syntax.sql:5:13', 'syntax error at or near "where"'],
      ['alterations/1.0.0-3-concurrent.sql:2:3', 'refuses "create index concurrently" inside a transaction'],
      ['alterations/1.0.0-4-pair.down.sql:2:1', 'is a command of psql'],
      ['alterations/1.0.0-4-pair.up.sql:1:1', '"begin" cannot stand in a file that runs in one transaction'],
      ['alterations/1.0.0-5-empty.sql', 'is empty'],
      ['alterations/1.0.0-6-no-up.ts', 'has no "up"'],
      ['alterations/1.0.0-7-syntax.ts:3:11', 'Unexpected token'],
      ['alterations/1.0.0-9-misspelt.sql:1:1', 'syntax error at or near "creat"'],
      ['alterations/next-12-alone.down.sql', 'has no .up.sql beside it'],
      ['alterations/utils/throws.ts:2:6', '"1.0.0-8-throws.ts" cannot be loaded'],
      ['alterations/v1.0.0-10-name.ts', 'file names carry no leading "v"'],
    );
  });

  test('and a module that never comes to its end is told, with those that were not loaded for it', async () => {
    const { check } = await repositories.createPlain({
      '1.0.0-1-hangs.ts': `await new Promise(() => {});\n${script()}`,
      '1.0.0-2-b.ts': script(),
      '1.0.0-3-c.sql': 'nonsense;',
      '1.0.0-4-d.ts': script(),
    });

    expectProblems(
      await check(),
      ['alterations/1.0.0-1-hangs.ts', 'it never settles'],
      ['alterations/1.0.0-1-hangs.ts', '2 more modules were not loaded'],
      ['alterations/1.0.0-3-c.sql:1:1', 'syntax error'],
    );
  });

  test('and a package that is not installed is told', async () => {
    const { check } = await repositories.createPlain({
      '1.0.0-1-a.ts': `import 'no-such-package';\n${script()}`,
    });

    const [line] = linesOf(await check(), 'failed');

    expect(line).toMatch(/^alterations\/1\.0\.0-1-a\.ts:.* cannot be loaded: .*no-such-package/);
  });

  test('and a statement too deep for the parser is none', async () => {
    const { check } = await repositories.createPlain({
      '1.0.0-1-a.sql': `select ${'1 + '.repeat(20_000)}1;`,
    });

    expectPassed(await check(), nowhere);
  });

  test('and a signal ends it while a module is being loaded', async () => {
    const { dir, start } = await repositories.createPlain({
      '1.0.0-1-a.ts': `import { writeFileSync } from 'node:fs';
writeFileSync(new URL('./loading', import.meta.url), '');
await new Promise((settle) => setTimeout(settle, 60_000));
${script()}`,
    });
    const { process: child, result } = start();
    await waitUntil('the module is being loaded', () =>
      access(join(dir, 'loading')).then(
        () => true,
        () => false,
      ),
    );

    child.kill('SIGTERM');

    expect(await result).toMatchObject({ exitCode: 143, stdout: '' });
  });

  test('and what a broken helper breaks is told once', async () => {
    const { check } = await repositories.createPlain({
      '1.0.0-1-a.ts': `import './utils/x.ts';\n${script()}`,
      '1.0.0-2-b.ts': `import './utils/x.ts';\n${script()}`,
      'utils/x.ts': 'const = 1;\n',
    });

    expectProblems(await check(), ['alterations/utils/x.ts:1:7', 'Unexpected token']);
  });

  test('and a folder without alterations passes', async () => {
    const { check } = await repositories.createPlain({ 'README.md': '' });

    expect(linesOf(await check(), 'passed')).toEqual([`0 alterations: no problems (${nowhere}).`]);
  });

  test('and one that is missing is an error of its own', async () => {
    const { check } = await repositories.createPlain({});

    const result = await check(['--dir', 'elsewhere']);

    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    expect(result.stderr).toMatch(/elsewhere" cannot be read: it does not exist/);
  });

  test('and that there is no git is said', async () => {
    const { check, root } = await repositories.createPlain({ '1.0.0-1-a.ts': script() });

    expectPassed(
      await check([], { env: { PATH: root } }),
      'there is no git here: order and released files were not compared',
    );
  });

  test('and in a pipeline it is a problem that nothing was compared', async () => {
    const { check, root } = await repositories.createPlain({ '1.0.0-1-a.ts': script() });
    const runs = [
      await check([], { env: { CI: 'true' } }),
      await check([], { env: { CI: 'true', PATH: root } }),
    ];
    expect(runs.map(({ exitCode }) => exitCode)).toEqual([8, 8]);
    expect(runs.map(({ stdout }) => stdout.split('\n')[0])).toEqual([
      expect.stringMatching(/This is no git repository, .* check it out, with its history and tags\.$/),
      expect.stringMatching(/There is no git here, .* install it in the image of this job\.$/),
    ]);
  });
});

describe.concurrent('what means nothing with --ci is refused:', () => {
  test.for([
    ['a target', ['latest'], 'it goes without a target.'],
    ['--wait', ['--wait', '5m'], 'it goes without --wait.'],
    ['--db-url', ['--db-url', 'postgres://u:secret@db/app'], 'it goes without --db-url.'],
    [
      'several at once',
      ['1.0.0', '--strict-order', '--direct-url=postgres://db/app'],
      'it goes without --direct-url, --strict-order and a target.',
    ],
  ] as const)('%s', async ([, args, says]) => {
    const { check } = await repositories.createPlain({ '1.0.0-1-a.ts': script() });

    const result = await check(args);

    expect(result).toMatchObject({ exitCode: 2, stdout: '' });
    expect(result.stderr).toContain(`--ci checks the files alone and asks no database; ${says}`);
    expect(result.stderr).not.toContain('secret');
  });
});

describe.concurrent('the document of --json', () => {
  /** Parses it, sees that it has no other field, and that the library gives the same. */
  async function readReport(repository: Repository, exitCode: number): Promise<FolderCheckReport> {
    const result = await repository.check(['--json']);
    expect(result).toMatchObject({ exitCode });
    const document: unknown = JSON.parse(result.stdout);
    strictSchema(folderCheckReportSchema).parse(document);
    const env = { PATH: process.env['PATH'], GIT_CONFIG_GLOBAL: '/dev/null' };
    expect(await library.checkFolder({ folder: repository.dir, env })).toEqual(document);
    return folderCheckReportSchema.parse(document);
  }

  test('tells what was compared, and that nothing is wrong', async () => {
    const repository = await createReleased({ '1.0.0-1-a.ts': script() });

    expect(await readReport(repository, 0)).toEqual({
      schemaVersion: 1,
      command: 'check',
      mode: 'ci',
      comparedWith: 'v1.0.0',
      notCompared: null,
      alterations: 1,
      problems: [],
      result: 'passed',
    });
  });

  test('tells each problem with its rule, its file in the folder and its place', async () => {
    const repository = await createReleased({ '1.0.0-1-a.ts': script(), '1.0.0-9-b.sql': createTable('b') });
    await repository.write({
      '1.0.0-1-a.ts': script('other'),
      '1.0.0-2-c.sql': 'nonsense;',
      'next-3-d.ts': 'export default 1;',
      'next-d.ts': script(),
    });

    const { problems, result, alterations } = await readReport(repository, 8);

    expect({ result, alterations }).toEqual({ result: 'failed', alterations: 4 });
    expect(problems).toMatchObject([
      { rule: 'released', file: '1.0.0-1-a.ts' },
      { rule: 'order', file: '1.0.0-2-c.sql' },
      { rule: 'sql', file: '1.0.0-2-c.sql', line: 1, column: 1 },
      { rule: 'load', file: 'next-3-d.ts' },
      { rule: 'name', file: 'next-d.ts' },
    ]);
    for (const [index, found] of problems.entries()) expect('line' in found).toBe(index === 2);
  });

  test('tells why nothing was compared', async () => {
    const outside = await repositories.createPlain({ '1.0.0-1-a.ts': script() });

    expect(await readReport(outside, 0)).toMatchObject({ comparedWith: null, notCompared: 'no-repository' });
  });
});

describe.concurrent('a new alteration sorts last in its version', () => {
  const first = { 'next-200-a.ts': script() };

  test('or is told, committed or not', async () => {
    const { commit, write, check } = await createReleased(first);
    await commit({ 'next-100-b.ts': script() });
    await write({ 'next-150-c.sql': createTable('c'), 'next-300-d.ts': script() });

    expectProblems(
      await check(),
      ['alterations/next-100-b.ts', 'is new and sorts before "next-200-a.ts"'],
      ['alterations/next-150-c.sql', 'give it a timestamp later than 200'],
    );
  });

  test('compared with those that other branches brought before, whenever they were written', async () => {
    const { commit, git, check } = await createReleased({});
    await git('switch', '--quiet', '--create', 'early');
    await commit({ 'next-100-early.ts': script() });
    await git('switch', '--quiet', '--create', 'late', 'main');
    await commit({ 'next-200-late.ts': script() });
    await git('switch', '--quiet', 'main');
    await git('merge', '--quiet', '--no-ff', 'late');
    expectPassed(await check(), released);

    await git('merge', '--quiet', '--no-ff', 'early');

    expectProblems(await check(), ['alterations/next-100-early.ts', 'sorts before "next-200-late.ts"']);
  });

  test('and branches that are merged in the order of their timestamps are fine', async () => {
    const { commit, git, check } = await createReleased({});
    await git('switch', '--quiet', '--create', 'late');
    await commit({ 'next-200-late.ts': script() });
    await git('switch', '--quiet', '--create', 'early', 'main');
    await commit({ 'next-100-early.ts': script() });
    await git('switch', '--quiet', 'main');
    await git('merge', '--quiet', '--no-ff', 'early');
    await git('merge', '--quiet', '--no-ff', 'late');

    expectPassed(await check(), released);
  });

  test('except among those that one commit or one merge brought', async () => {
    const { commit, git, check, write } = await createReleased({});
    await git('switch', '--quiet', '--create', 'feature');
    await commit({ 'next-200-a.ts': script() });
    await commit({ 'next-100-b.ts': script() });
    await git('switch', '--quiet', 'main');
    await git('merge', '--quiet', '--no-ff', 'feature');
    await commit({ 'next-400-c.ts': script(), 'next-300-d.ts': script() });
    await write({ 'next-600-e.ts': script(), 'next-500-f.ts': script() });

    expectPassed(await check(), released);
  });

  test('compared with the previous release too', async () => {
    const { commit, check } = await createReleased({ '1.0.0-100-a.ts': script() });
    await commit({ '1.0.0-50-b.ts': script(), '1.0.0-150-c.ts': script() });

    expectProblems(await check(), ['alterations/1.0.0-50-b.ts', 'sorts before "1.0.0-100-a.ts"']);
  });

  test('and keeps its place when a release renames it, or it is compiled', async () => {
    const { commit, git, check } = await createReleased(first);
    await commit({ 'next-300-b.ts': script(), 'next-400-c.ts': script() });
    await git('mv', 'alterations/next-300-b.ts', 'alterations/next-300-b.js');
    await commit({});
    for (const [from, to] of [
      ['next-200-a.ts', '1.1.0-200-a.ts'],
      ['next-300-b.js', '1.1.0-300-b.js'],
    ] as const)
      await git('mv', `alterations/${from}`, `alterations/${to}`);
    await commit({});
    await git('mv', 'alterations/next-400-c.ts', 'alterations/1.1.0-400-c.ts');
    await commit({});
    await git('tag', 'v1.1.0');

    expectPassed(await check(), released);
  });

  test('and is new again when it was taken out meanwhile', async () => {
    const { commit, check } = await createReleased({ 'next-100-a.ts': script(), 'next-50-b.ts': script() });
    await commit({ 'next-100-a.ts': undefined });
    await commit({ 'next-200-c.ts': script() });
    await commit({ 'next-150-d.ts': script() });

    expectProblems(await check(), ['alterations/next-150-d.ts', 'sorts before "next-200-c.ts"']);
  });

  test('also where no version is tagged', async () => {
    const { commit, check } = await repositories.create();
    await commit({ '1.0.0-2-a.ts': script(), 'next-200-b.ts': script() });
    await commit({ '1.0.0-1-c.ts': script(), 'next-100-d.ts': script() });

    expectProblems(await check(), ['alterations/next-100-d.ts', 'sorts before "next-200-b.ts"']);
  });
});

describe.concurrent('a released alteration stays what it was', () => {
  const files = {
    '1.0.0-1-a.ts': `import { double } from './utils/double.js';\nexport default { up: async () => double(1) };\n`,
    '1.0.0-2-b.sql': createTable('b'),
    '1.0.0-3-c.up.sql': createTable('c'),
    '1.0.0-3-c.down.sql': 'drop table c;\n',
    '1.0.0-4-d.ts': script(),
    'next-5-e.ts': script(),
    'utils/double.ts': 'export const double = (value: number) => 2 * value;\n',
  };

  test('through formatting, comments, line ends, compilation and other words in its name', async () => {
    const { commit, write, check } = await createReleased(files);
    await commit({
      '1.0.0-1-a.ts': `// doubles\nimport {double} from "./utils/double.js"\n\nexport default {up: async () => double(1)}\n`,
      'utils/double.ts': undefined,
      'utils/double.js': 'export const double = (value) => {\n  return 2 * value;\n};\n'.replace(
        '{\n  return 2 * value;\n}',
        '2 * value',
      ),
      '1.0.0-2-b.sql': createTable('b').replace('\n', '\r\n'),
      '1.0.0-4-d.ts': undefined,
      '1.0.0-4-other-words.js': script(),
    });
    await write({ 'next-5-e.ts': script('whatever') });

    expectPassed(await check(), released);
  });

  test.for([
    ['an edited module', { '1.0.0-4-d.ts': script('other') }, '1.0.0-4-d.ts', 'has been edited since'],
    [
      'a helper that does something else',
      { 'utils/double.ts': 'export const double = (value: number) => 3 * value;\n' },
      '1.0.0-1-a.ts',
      'a file that it imports has been edited since',
    ],
    [
      'an edited SQL file',
      { '1.0.0-2-b.sql': createTable('bee') },
      '1.0.0-2-b.sql',
      'restore it, and put the change',
    ],
    [
      'an edited way up of a pair',
      { '1.0.0-3-c.up.sql': createTable('cee') },
      '1.0.0-3-c.up.sql',
      'has been edited since',
    ],
    [
      'an edited way down of a pair',
      { '1.0.0-3-c.down.sql': 'drop table c cascade;' },
      '1.0.0-3-c.down.sql',
      'has been edited since',
    ],
    [
      'a way down that is gone',
      { '1.0.0-3-c.down.sql': undefined },
      '1.0.0-3-c.up.sql',
      'is no longer there',
    ],
    ['one that is gone', { '1.0.0-2-b.sql': undefined }, '1.0.0-2-b.sql', 'is no longer there'],
    [
      'one that moved to another version',
      { '1.0.0-2-b.sql': undefined, '1.1.0-2-b.sql': createTable('b') },
      '1.1.0-2-b.sql',
      'was released with v1.0.0 as "1.0.0-2-b.sql"',
    ],
    [
      'one that is SQL now',
      { '1.0.0-4-d.ts': undefined, '1.0.0-4-d.sql': createTable('d') },
      '1.0.0-4-d.sql',
      'has been edited since',
    ],
  ] as const)('or is told, committed or not: %s', async ([, change, file, says]) => {
    const { commit, write, check } = await createReleased(files);

    await write(change);
    expectProblems(await check(), [`alterations/${file}`, says]);
    await commit({});

    expectProblems(await check(), [`alterations/${file}`, says]);
  });

  test('also where it can no longer be loaded', async () => {
    const { write, check } = await createReleased(files);
    await write({ '1.0.0-4-d.ts': 'const = 1;' });

    expectProblems(
      await check(),
      ['alterations/1.0.0-4-d.ts', 'has been edited since'],
      ['alterations/1.0.0-4-d.ts:1:7', 'Unexpected token'],
    );
  });

  test('and is not called gone where its timestamp stands twice', async () => {
    const { write, check } = await createReleased(files);
    await write({ 'next-2-b.sql': createTable('b') });

    expectProblems(await check(), ['alterations/1.0.0-2-b.sql', 'have the timestamp 2']);
  });

  test('and may get a way back', async () => {
    const { write, check } = await createReleased(files);
    await write({
      '1.0.0-2-b.sql': undefined,
      '1.0.0-2-b.up.sql': createTable('b'),
      '1.0.0-2-b.down.sql': 'drop table b;',
    });

    expectPassed(await check(), released);
  });

  test('and what it imports without git knowing it counts as it is', async () => {
    const { commit, write, git, check, root } = await repositories.create();
    await writeFile(join(root, '.gitignore'), 'generated/\n');
    await commit({
      '1.0.0-1-a.ts': `import { names } from './generated/names.js';\nexport default { up: async () => names };\n`,
      'generated/names.ts': 'export const names = 1;\n',
    });
    await git('tag', 'v1.0.0');
    await commit({});
    await write({ 'generated/names.ts': 'export const names = 2;\n' });

    expectPassed(await check(), released);
  });

  test('and one that is a link stays what it leads to', async () => {
    const { root, dir, commit, git, check } = await repositories.create();
    await mkdir(join(root, 'shared'));
    await writeFile(join(root, 'shared/a.sql'), createTable('a'));
    await writeFile(join(root, 'shared/b.ts'), `import './c.ts';\n${script()}`);
    await writeFile(join(root, 'shared/c.ts'), '');
    await symlink('../shared/a.sql', join(dir, '1.0.0-1-a.sql'));
    await symlink('../shared/b.ts', join(dir, '1.0.0-2-b.ts'));
    await commit({});
    await git('tag', 'v1.0.0');
    await commit({});
    expectPassed(await check(), released);

    await rm(join(dir, '1.0.0-1-a.sql'));
    await symlink('../shared/../shared/a.sql', join(dir, '1.0.0-1-a.sql'));

    expectProblems(await check(), ['alterations/1.0.0-1-a.sql', 'has been edited since']);
  });

  test('compared with the newest of several releases', async () => {
    const { commit, git, check } = await createReleased(files);
    await commit({ '1.0.0-2-b.sql': createTable('bee') });
    await git('tag', '--annotate', '--message', 'the second', '1.1.0');
    await commit({ '1.0.0-4-d.ts': script('other') });

    expectProblems(await check(), ['alterations/1.0.0-4-d.ts', 'was released with 1.1.0']);
  });

  test('compared with the release before, where the last commit is one itself', async () => {
    const { commit, git, check } = await createReleased(files);
    await commit({ '1.0.0-4-d.ts': script('other'), '1.1.0-6-f.ts': script() });
    await git('tag', '--annotate', '--message', 'the second', '@acme/app@1.1.0');
    await git('tag', 'v1.1.0');

    expectProblems(await check(), ['alterations/1.0.0-4-d.ts', 'was released with v1.0.0']);
  });

  test('compared with no release of another branch', async () => {
    const { commit, git, check } = await createReleased(files);
    await git('switch', '--quiet', '--create', 'other');
    await commit({ '2.0.0-6-f.ts': script() });
    await git('tag', 'v2.0.0');
    await git('switch', '--quiet', 'main');

    expectPassed(await check(), released);
  });

  test('also one of a hotfix that was merged after a newer release', async () => {
    const { commit, write, git, check } = await createReleased({ '1.0.0-1-a.ts': script() });
    await git('switch', '--quiet', '--create', 'hotfix');
    await commit({ '1.0.1-300-fix.sql': createTable('fix') });
    await git('tag', 'v1.0.1');
    await git('switch', '--quiet', 'main');
    await commit({ '2.0.0-200-b.ts': script() });
    await git('tag', 'v2.0.0');
    await git('merge', '--quiet', '--no-edit', 'hotfix');
    expectPassed(await check(), 'compared with v2.0.0');

    await write({ '1.0.1-300-fix.sql': createTable('other') });
    expectProblems(await check(), [
      'alterations/1.0.1-300-fix.sql',
      'was released with v1.0.1 and has been edited since',
    ]);
    await commit({ '1.0.1-300-fix.sql': undefined });
    expectProblems(await check(), ['alterations/1.0.1-300-fix.sql', 'and is no longer there']);
    await commit({ 'next-300-fix.sql': createTable('fix') });
    expectProblems(await check(), ['alterations/next-300-fix.sql', 'give it the version 1.0.1 again']);
  });

  test.for([
    ['squashed', ['merge', '--quiet', '--squash', 'rel']],
    ['rebased', ['cherry-pick', '--no-commit', 'main..rel']],
  ] as const)('also one of a release branch that was %s into this one', async ([, merge]) => {
    const { commit, write, git, check } = await createReleased({ '1.0.0-1-a.ts': script() });
    await git('switch', '--quiet', '--create', 'rel');
    await commit({ '1.1.0-2-b.ts': script('draft') });
    await commit({ '1.1.0-2-b.ts': script() });
    await git('tag', '--annotate', '--message', 'the second', 'v1.1.0');
    await git('switch', '--quiet', 'main');
    await commit({ 'next-3-c.ts': script() });
    await git(...merge);
    await commit({ 'next-3-c.ts': script('better') });
    expectPassed(await check(), released);

    await write({ '1.1.0-2-b.ts': script('other') });
    expectProblems(await check(), ['alterations/1.1.0-2-b.ts', 'was released with v1.1.0 and has been']);
    await commit({ '1.1.0-2-b.ts': undefined });
    expectProblems(await check(), ['alterations/1.1.0-2-b.ts', 'and is no longer there']);
  });

  test('but not on a branch that left before its release was ready', async () => {
    const { commit, git, check } = await createReleased({ '1.0.0-1-a.ts': script() });
    await commit({ '1.1.0-2-b.ts': script('draft') });
    await git('branch', 'early');
    await commit({ '1.1.0-2-b.ts': script() });
    await git('tag', 'v1.1.0');
    await git('switch', '--quiet', 'early');
    await commit({ '1.1.0-2-b.ts': script('another draft') });

    expectPassed(await check(), released);
  });

  test('but not where a release branch gave it a version that it has not got here yet', async () => {
    const { commit, git, check } = await createReleased({ 'next-2-b.ts': script() });
    await git('switch', '--quiet', '--create', 'rel');
    await git('mv', 'alterations/next-2-b.ts', 'alterations/1.1.0-2-b.ts');
    await commit({});
    await git('tag', 'v1.1.0');
    await git('switch', '--quiet', 'main');
    await commit({ 'next-2-b.ts': script('other') });

    expectPassed(await check(), released);
  });

  test('but as a later release has it, where that accepted an edit', async () => {
    const { commit, write, git, check } = await createReleased({ '1.0.0-1-a.ts': script() });
    await git('switch', '--quiet', '--create', 'hotfix');
    await commit({ '1.0.1-2-b.ts': script('wrong') });
    await git('tag', 'v1.0.1');
    await commit({ '1.0.1-2-b.ts': script() });
    await git('tag', 'v1.0.2');
    await git('switch', '--quiet', 'main');
    await commit({ '2.0.0-3-c.ts': script() });
    await git('tag', 'v2.0.0');
    await git('merge', '--quiet', '--no-edit', 'hotfix');
    expectPassed(await check(), 'compared with v2.0.0');

    await write({ '1.0.1-2-b.ts': script('wrong') });

    expectProblems(await check(), ['alterations/1.0.1-2-b.ts', 'was released with v1.0.2']);
  });

  test('whatever older tag counts higher', async () => {
    const { commit, write, git, check } = await repositories.create();
    await commit({ 'next-1-a.ts': script() });
    await git('tag', '2023.1.1');
    await git('mv', 'alterations/next-1-a.ts', 'alterations/1.0.0-1-a.ts');
    await commit({});
    await git('tag', 'v1.0.0');
    await commit({});
    expectPassed(await check(), released);

    await write({ '1.0.0-1-a.ts': script('other') });

    expectProblems(await check(), ['alterations/1.0.0-1-a.ts', 'was released with v1.0.0']);
  });

  test('whatever was tagged last without the folder', async () => {
    const { commit, write, git, check } = await createReleased({ '1.0.0-1-a.ts': script() });
    await git('tag', 'db@1.0.0');
    await git('tag', '--delete', 'v1.0.0');
    await git('switch', '--quiet', '--orphan', 'app');
    await commit({});
    await git('tag', 'app@3.0.0');
    await git('switch', '--quiet', 'main');
    await git('merge', '--quiet', '--no-edit', '--allow-unrelated-histories', 'app');
    await write({ '1.0.0-1-a.ts': script('other') });

    expectProblems(await check(), ['alterations/1.0.0-1-a.ts', 'was released with db@1.0.0']);
  });

  test('also one of the release that the last commit is', async () => {
    const { commit, write, git, check } = await createReleased({ '1.0.0-1-a.ts': script() });
    await commit({ '1.1.0-2-b.ts': script(), '1.1.0-3-c.ts': script() });
    await git('tag', 'v1.1.0');
    expectPassed(await check(), released);

    await write({ '1.1.0-2-b.ts': script('other'), '1.1.0-3-c.ts': undefined });

    expectProblems(
      await check(),
      ['alterations/1.1.0-2-b.ts', 'was released with v1.1.0 and has been edited since'],
      ['alterations/1.1.0-3-c.ts', 'was released with v1.1.0 and is no longer there'],
    );
  });

  test('with as many git processes for many releases as for few', async () => {
    const { root, commit, git, check } = await createReleased({ '1.0.0-1-a.ts': script() });
    const count = await countGit(root);
    const release = async (minor: number) => {
      await commit({ [`1.${minor}.0-${minor + 1}-b.ts`]: script() });
      await git('tag', `v1.${minor}.0`);
    };
    for (const minor of [1, 2]) await release(minor);
    expectPassed(await check([], count.options), 'compared with v1.1.0');
    const few = await count.read();

    for (const minor of [3, 4, 5, 6, 7]) await release(minor);
    expectPassed(await check([], count.options), 'compared with v1.6.0');

    expect((await count.read()) - few).toBe(few);
  });
});

describe.concurrent('without a tagged version an alteration is released by its name', () => {
  test('and stays what it was when it got its version', async () => {
    const { commit, git, check } = await repositories.create();
    await commit({
      'next-1-a.ts': script(),
      'next-2-b.sql': createTable('b'),
      'next-3-c.sql': createTable('c'),
    });
    await commit({ 'next-1-a.ts': script('better') });
    for (const name of ['1-a.ts', '2-b.sql', '3-c.sql'])
      await git('mv', `alterations/next-${name}`, `alterations/1.0.0-${name}`);
    await commit({});
    await commit({ '1.0.0-1-a.ts': `// better\n${script('better')}` });
    expectPassed(await check(), history);
    const version = (await git('rev-parse', 'HEAD~1')).slice(0, 8);

    await commit({
      '1.0.0-1-a.ts': script('worse'),
      '1.0.0-2-b.sql': undefined,
      '1.0.0-2-renamed.sql': createTable('bee'),
      '1.0.0-3-c.sql': undefined,
    });

    expectProblems(
      await check(),
      ['alterations/1.0.0-1-a.ts', `got its version with commit ${version} and has been edited since`],
      ['alterations/1.0.0-2-renamed.sql', 'has been edited since'],
      ['alterations/1.0.0-3-c.sql', 'is no longer there'],
    );
  });

  test('with the helpers of that day', async () => {
    const helper = (factor: number) => `export const scale = (value: number) => ${factor} * value;\n`;
    const user = `import { scale } from './utils/scale.ts';\nexport default { up: async () => scale(1) };\n`;
    const { commit, write, check } = await repositories.create();
    await commit({ 'utils/scale.ts': helper(1), '1.0.0-1-a.ts': user });
    await commit({ 'utils/scale.ts': helper(2), '1.1.0-2-b.ts': user });
    await commit({
      '1.1.0-3-c.ts': `import previous from './1.1.0-2-b.ts';\nexport default { up: previous.up };\n`,
    });

    expectProblems(await check(), ['alterations/1.0.0-1-a.ts', 'a file that it imports has been edited']);
    await write({ 'utils/scale.ts': helper(1) });

    expectProblems(
      await check(),
      ['alterations/1.1.0-2-b.ts', 'a file that it imports has been edited'],
      ['alterations/1.1.0-3-c.ts', 'a file that it imports has been edited'],
    );
  });

  test('and one whose release was taken back is free again', async () => {
    const { commit, git, check } = await repositories.create();
    await commit({ '1.0.0-1-a.ts': script() });
    await git('mv', 'alterations/1.0.0-1-a.ts', 'alterations/next-1-a.ts');
    await commit({ 'next-1-a.ts': script('other') });

    expectPassed(await check(), history);
  });

  test('and a repository without a commit has nothing to compare with', async () => {
    const { write, check } = await repositories.create();
    await write({ 'next-2-a.ts': script(), '1.0.0-1-b.ts': script() });

    expectPassed(await check(), history);
  });

  test('with as many git processes for many alterations as for few', async () => {
    const { root, commit, write, check } = await repositories.create();
    const count = await countGit(root);
    const names = Array.from({ length: 12 }, (_, index) => `1.0.0-${index + 1}-a.sql`);
    for (const name of names.slice(0, 2)) await commit({ [name]: createTable('a') });
    expectPassed(await check([], count.options), history);
    const few = await count.read();

    for (const name of names.slice(2)) await commit({ [name]: createTable('a') });
    await write({ [names[5] ?? '']: createTable('b') });
    expectProblems(await check([], count.options), [`alterations/${names[5]}`, 'has been edited since']);

    expect(few).toBeGreaterThan(0);
    expect((await count.read()) - few).toBe(few);
    expect(few).toBeLessThan(12);
  });
});

/** A `git` that counts its calls. */
async function countGit(root: string) {
  const { stdout } = await run('sh', ['-c', 'command -v git']);
  const bin = join(root, '.git', 'counting');
  const log = join(bin, 'calls');
  await mkdir(bin);
  await writeFile(join(bin, 'git'), `#!/bin/sh\necho call >> '${log}'\nexec '${stdout.trim()}' "$@"\n`);
  await chmod(join(bin, 'git'), 0o755);
  return {
    options: { env: { PATH: [bin, process.env['PATH']].join(delimiter) } },
    read: async () => (await readFile(log, 'utf8')).trim().split('\n').length,
  };
}

describe.concurrent('a history that cannot be read is a problem, with its remedy:', () => {
  test('a shallow clone without the previous release', async () => {
    const origin = await createReleased({ '1.0.0-1-a.ts': script() });
    await origin.commit({ '1.0.0-1-a.ts': script('other') });

    const { check } = await repositories.clone(origin, '--depth=1');

    expectProblems(await check(), [
      'alterations',
      '"fetch-depth: 0" for actions/checkout, "GIT_DEPTH: 0" for GitLab',
    ]);
  });

  test('a shallow clone of the release itself', async () => {
    const origin = await createReleased({ '1.0.0-1-a.ts': script() });
    await origin.git('tag', 'v1.1.0');

    const { check } = await repositories.clone(origin, '--depth=1');

    expectProblems(await check(), ['alterations', 'shallow clone']);
  });

  test('a shallow clone that ends beside the previous release', async () => {
    const origin = await createReleased({ '1.0.0-1-a.ts': script() });
    await origin.commit({ 'next-2-b.ts': script() });
    await origin.git('switch', '--quiet', '--create', 'hotfix', 'v1.0.0');
    await origin.commit({ '1.0.1-3-c.ts': script() });
    await origin.git('tag', 'v1.0.1');
    await origin.git('switch', '--quiet', 'main');
    await origin.git('merge', '--quiet', '--no-ff', 'hotfix');

    const { check } = await repositories.clone(origin, '--depth=2');

    expectProblems(await check(), ['alterations', 'shallow clone']);
  });

  test('but no shallow clone that has the previous release', async () => {
    const origin = await createReleased({ '1.0.0-1-a.ts': script(), 'next-2-b.ts': script() });
    await origin.commit({ '1.0.0-1-a.ts': script('other'), 'next-3-c.ts': script() });

    const { check } = await repositories.clone(origin, '--depth=3');

    expectProblems(await check(), ['alterations/1.0.0-1-a.ts', 'was released with v1.0.0']);
  });

  test('nor a clone of all', async () => {
    const origin = await createReleased({ '1.0.0-1-a.ts': script() });

    expectPassed(await (await repositories.clone(origin, '--depth=99')).check(), released);
  });

  test.runIf(process.getuid?.() === 0)('a repository of another user', async () => {
    const { root, check } = await createReleased({ '1.0.0-1-a.ts': script() });
    await run('chown', ['-R', '65534:65534', root]);

    const result = await check();
    expectProblems(result, ['alterations', 'detected dubious ownership in repository']);
    expect(result.stdout).toContain(`git config --global --add safe.directory ${root}`);

    const trusted = { GIT_CONFIG_COUNT: '1', GIT_CONFIG_KEY_0: 'safe.directory', GIT_CONFIG_VALUE_0: root };
    expectPassed(await check([], { env: trusted }), released);
  });

  test('a repository that lies elsewhere now', async () => {
    const { root, check } = await createReleased({ '1.0.0-1-a.ts': script() });
    await rm(join(root, '.git'), { recursive: true });
    await writeFile(join(root, '.git'), 'gitdir: /nowhere/repository.git\n');

    expectProblems(await check(), ['alterations', 'not a git repository: /nowhere/repository.git']);
  });

  test('a partial clone whose origin is gone', async () => {
    const origin = await createReleased({ '1.0.0-1-a.sql': createTable('a') });
    await origin.commit({ '1.0.0-1-a.sql': createTable('b') });
    await origin.git('config', 'uploadpack.allowFilter', 'true');
    const { check } = await repositories.clone(origin, '--filter=blob:none');
    await rm(join(origin.root, '.git'), { recursive: true });

    expectProblems(await check(), ['alterations', 'does not appear to be a git repository']);
  });

  test('a repository with a damaged commit', async () => {
    const { root, check, git } = await createReleased({ '1.0.0-1-a.ts': script() });
    const id = await git('rev-parse', 'HEAD');
    await rm(join(root, '.git', 'objects', id.slice(0, 2), id.slice(2)));

    expectProblems(await check(), ['alterations', 'git cannot tell the history of this folder']);
  });
});

describe.concurrent('the folder may be', () => {
  const change = { '1.0.0-1-a.ts': script('other'), 'next-1.5-b.ts': script() };
  const files = { '1.0.0-1-a.ts': script(), 'next-2-b.ts': script() };

  async function expectCompared(repository: Repository, folder: string): Promise<void> {
    await repository.write(change);
    const lines = linesOf(await repository.check(), 'failed');
    expect(lines).toEqual([
      expect.stringContaining(`${folder}/1.0.0-1-a.ts: `),
      expect.stringContaining(`${folder}/next-1.5-b.ts: `),
      '2 problems in 3 alterations.',
    ]);
  }

  test.for([
    'db/my alterations',
    `packages/it's "quoted" $HOME/alterations`,
    'base/änderungen/変更',
    '-dashed',
    ':(top)',
    '.',
  ])('%j', async (folder) => {
    await expectCompared(await createReleased(files, folder), folder);
  });

  test('in a worktree', async () => {
    const { root, git } = await createReleased(files);
    await git('worktree', 'add', '--quiet', join(root, '.git', 'beside'));

    await expectCompared(await openRepository(join(root, '.git', 'beside')), 'alterations');
  });

  test('in a submodule', async () => {
    const module = await createReleased(files);
    const { root, git } = await repositories.create();
    await git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', module.root, 'vendored');

    await expectCompared(await openRepository(join(root, 'vendored')), 'alterations');
  });

  test('a link to a folder elsewhere in the repository', async () => {
    const { root } = await createReleased(files, 'db/alterations');
    await symlink('db/alterations', join(root, 'linked'));

    await expectCompared(await openRepository(root, 'linked'), 'linked');
  });

  test('one that the previous release did not have', async () => {
    const { root, commit, write, check } = await createReleased({}, 'old');
    const { commit: commitNew, check: checkNew } = await openRepository(root, 'new');
    await commitNew({ '1.1.0-2-a.ts': script() });
    await commitNew({ '1.1.0-1-b.ts': script() });

    expectProblems(await checkNew(), ['new/1.1.0-1-b.ts', 'sorts before "1.1.0-2-a.ts"']);
    await commit({});
    await write({ '1.0.0-1-a.ts': script() });
    expectPassed(await check(), released);
  });

  test('moved since the previous release, which is not compared then', async () => {
    const { root, commit } = await createReleased(files, 'old');
    await rename(join(root, 'old'), join(root, 'new'));
    await commit({});

    expectPassed(await (await openRepository(root, 'new')).check(), released);
  });

  test('one that git ignores', async () => {
    const { root, commit, check, write } = await repositories.create();
    await writeFile(join(root, '.gitignore'), 'alterations/\n');
    await commit({});
    await write({ '1.0.0-2-a.ts': script(), '1.0.0-1-b.ts': script() });

    expectPassed(await check(), 'git ignores the folder: order and released files were not compared');
  });
});

describe.concurrent('git is asked', () => {
  const files = { '1.0.0-1-a.ts': script(), '1.0.0-2-b.sql': createTable('b') };

  test('without a change to the index or the work tree, and nothing is left behind', async () => {
    const { root, check, write, git } = await createReleased(files);
    await write({ '1.0.0-1-a.ts': script('staged') });
    await git('add', '--all');
    await write({ '1.0.0-1-a.ts': script('other'), 'next-3-c.ts': script() });
    const temporary = join(root, '.git', 'tmp');
    await mkdir(temporary);
    const state = async () => [
      await readFile(join(root, '.git', 'index'), 'base64'),
      await git('status', '--porcelain'),
      (await readdir(join(root, '.git'))).sort(),
    ];
    const before = await state();

    expectProblems(await check([], { env: { TMPDIR: temporary } }), [
      'alterations/1.0.0-1-a.ts',
      'has been edited since',
    ]);

    expect(await state()).toEqual(before);
    expect((await readdir(temporary)).filter((name) => name.startsWith('alteration'))).toEqual([]);
  });

  test('about the folder, whatever a hook sets in the environment', async () => {
    const { root, check, write } = await createReleased(files);
    const other = await repositories.create();
    await write({ '1.0.0-1-a.ts': script('other') });
    const env = {
      GIT_DIR: join(other.root, '.git'),
      GIT_WORK_TREE: other.root,
      GIT_INDEX_FILE: join(root, '.git', 'no-index'),
      GIT_PREFIX: 'elsewhere/',
      GIT_NAMESPACE: 'elsewhere',
      GIT_OBJECT_DIRECTORY: '/nowhere',
      GIT_LITERAL_PATHSPECS: '1',
      GIT_DIFF_OPTS: '--unified=9',
      GIT_EXTERNAL_DIFF: 'false',
    };

    expectProblems(await check([], { env }), ['alterations/1.0.0-1-a.ts', 'was released with v1.0.0']);
  });

  test('in a hook, and a commit that edits a released file is kept back', async () => {
    const { root, write, git } = await createReleased(files);
    const hook = join(root, '.git', 'hooks', 'pre-commit');
    await writeFile(
      hook,
      `#!/bin/sh\nexec '${process.execPath}' '${resolve('dist/bin.js')}' check --ci >&2\n`,
    );
    await chmod(hook, 0o755);

    await write({ 'next-3-c.ts': script() });
    await git('add', '--all');
    await git('commit', '--quiet', '--message', 'fine');
    await write({ '1.0.0-1-a.ts': script('other') });

    await expect(git('commit', '--quiet', '--all', '--message', 'bad')).rejects.toThrow(
      'alterations/1.0.0-1-a.ts: "1.0.0-1-a.ts" was released with v1.0.0 and has been edited since',
    );
  });

  test('in the same way whatever its settings are', async () => {
    const { git, check, commit, root } = await createReleased(files);
    await git('switch', '--quiet', '--create', 'feature');
    await commit({ 'next-100-c.ts': script() });
    await git('switch', '--quiet', 'main');
    await commit({ 'next-200-d.ts': script() });
    await git('merge', '--quiet', '--no-ff', 'feature');
    const hook = join(root, '.git', 'hooks', 'post-index-change');
    await writeFile(hook, `#!/bin/sh\necho called >> '${join(root, 'called')}'\n`);
    await chmod(hook, 0o755);
    for (const setting of [
      'log.showRoot=false',
      'log.follow=true',
      'log.diffMerges=combined',
      'log.showSignature=true',
      'diff.renames=copies',
      'diff.noprefix=true',
      'color.ui=always',
      'core.quotePath=true',
      'core.splitIndex=true',
      'core.sparseCheckout=true',
      'core.autocrlf=true',
      'format.pretty=raw',
    ]) {
      const [name = '', value = ''] = setting.split('=');
      await git('config', name, value);
    }

    expectProblems(await check(), ['alterations/next-100-c.ts', 'sorts before "next-200-d.ts"']);

    expect(await readdir(root)).not.toContain('called');
    expect((await readdir(join(root, '.git'))).filter((name) => name.startsWith('sharedindex'))).toEqual([]);
  });
});
