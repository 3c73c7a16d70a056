import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ErrorReport, errorReportSchema } from '../../src/index.ts';
import type { CliResult } from '../support/cli.ts';
import { type Sandbox, useSandboxes } from '../support/sandbox.ts';

const createSandbox = useSandboxes();

const before = { '1.0.0-1-before.sql': 'create table before (id int);' };

function errorOf({ stdout }: CliResult): ErrorReport['error'] {
  return errorReportSchema.parse(JSON.parse(stdout)).error;
}

describe.concurrent('a folder that cannot be is refused before any connection', () => {
  const nowhere = { env: { DB_URL: 'postgres://127.0.0.1:1/nowhere' } };

  test.for([
    ['a version that is none', '1.0-2-a.sql', 'has "1.0" where a version belongs'],
    ['a prerelease with a hyphen', '1.0.0-beta.1-2-a.sql', 'has a prerelease written with "-"'],
    [
      'a leading v',
      'v1.0.0-2-a.sql',
      'has "v1.0.0" where a version belongs; file names carry no leading "v"',
    ],
    ['a timestamp of words', '1.0.0-today-a.sql', 'has "today" where a timestamp belongs'],
    [
      'a timestamp of eleven digits',
      '1.0.0-17000000000-a.sql',
      'has "17000000000" where a timestamp belongs',
    ],
    ['no name', '1.0.0-2.sql', 'has no name after the timestamp'],
    ['a name with capitals', '1.0.0-2-addUsers.sql', 'has the name "addUsers"'],
    ['another extension', '1.0.0-2-a.sh', 'has an extension that no alteration has'],
    ['a down without its up', '1.0.0-2-a.down.sql', 'has no .up.sql beside it'],
  ] as const)('%s', async ([, file, reason]) => {
    const { run } = await createSandbox({ ...before, [file]: 'select 1;' });
    const result = await run(['deploy', '--json'], nowhere);
    expect(result.exitCode).toBe(2);
    expect(result.stderr).toContain(`"${file}" ${reason}`);
    expect(errorOf(result)).toMatchObject({ code: 'folder', message: expect.stringContaining(reason) });
  });

  test('a timestamp that stands twice', async () => {
    const { run } = await createSandbox({ ...before, 'next-1-after.ts': '' });
    const result = await run(['deploy', '--json'], nowhere);
    expect(result.exitCode).toBe(2);
    expect(result.stderr).toMatch(/"1\.0\.0-1-before\.sql" and "next-1-after\.ts" have the timestamp 1/);
  });

  test('all that is wrong is told at once', async () => {
    const { run } = await createSandbox({
      ...before,
      '1.0.0-1-b.sql': '',
      '1.0.0-x-c.sql': '',
      'next-3.ts': '',
    });
    const result = await run(['deploy', '--json'], nowhere);
    expect(errorOf(result).problems.map(({ file }) => file)).toEqual([
      '1.0.0-x-c.sql',
      'next-3.ts',
      '1.0.0-1-b.sql',
    ]);
    for (const file of ['1.0.0-1-b.sql', '1.0.0-x-c.sql', 'next-3.ts'])
      expect(result.stderr).toContain(`"${file}"`);
  });

  test('a folder that is missing', async () => {
    const { run, dir } = await createSandbox();
    await rm(dir, { recursive: true });
    const result = await run(['deploy', '--json'], nowhere);
    expect(result.exitCode).toBe(2);
    expect(result.stderr).toContain(`"${dir}" cannot be read: it does not exist`);
    expect(result.stderr).toContain('--dir');
  });

  test('a folder that is a file', async () => {
    const { run, dir } = await createSandbox();
    await rm(dir, { recursive: true });
    await writeFile(dir, '');
    const result = await run(['deploy', '--json'], nowhere);
    expect(result.exitCode).toBe(2);
    expect(result.stderr).toContain(`"${dir}" cannot be read: it is not a folder`);
  });
});

/** Deploys one more file, and expects that nothing is run. */
async function refuse(sandbox: Sandbox): Promise<{ result: CliResult; error: ErrorReport['error'] }> {
  const result = await sandbox.run(['deploy', '--json']);
  expect(result.exitCode).toBe(4);
  expect(
    await sandbox.query(`select relname from pg_class where relnamespace = 'public'::regnamespace`),
  ).toEqual([]);
  return { result, error: errorOf(result) };
}

interface Refusal {
  readonly input: string;
  readonly text: string;
  readonly place: { readonly line: number; readonly column: number };
  readonly says: string;
  /** As it stands on the screen. */
  readonly excerpt: readonly string[];
}

const refusals: readonly Refusal[] = [
  {
    input: 'a syntax error among several statements',
    text: 'create table a (id int);\n\ncreate tabel b (id int);\nselect 1;\n',
    place: { line: 3, column: 8 },
    says: 'syntax error at or near "tabel"',
    excerpt: [
      '  1 | create table a (id int);',
      '  2 |',
      '  3 | create tabel b (id int);',
      '    |        ^',
      '  4 | select 1;',
    ],
  },
  {
    input: 'a command of psql',
    text: 'create table a (id int);\n\\i other.sql\n',
    place: { line: 2, column: 1 },
    says: '"\\i other.sql" is a command of psql',
    excerpt: ['  1 | create table a (id int);', '  2 | \\i other.sql', '    | ^'],
  },
  {
    input: 'copy from stdin with its rows',
    text: 'create table a (id int, name text);\ncopy a from stdin;\n1\tAnn\n\\.\n',
    place: { line: 2, column: 1 },
    says: '"copy … from stdin" gets no rows',
    excerpt: ['  2 | copy a from stdin;', '    | ^'],
  },
  {
    input: 'begin in a transactional file',
    text: 'begin;\ncreate table a (id int);\ncommit;\n',
    place: { line: 1, column: 1 },
    says: '"begin" cannot stand in a file that runs in one transaction',
    excerpt: ['  1 | begin;', '    | ^', '  2 | create table a (id int);'],
  },
  {
    input: 'a rollback behind a statement of the same line',
    text: 'create table a (id int); rollback;',
    place: { line: 1, column: 26 },
    says: '"rollback" cannot stand in a file that runs in one transaction',
    excerpt: ['  1 | create table a (id int); rollback;', '    |                          ^'],
  },
  {
    input: 'create index concurrently in a transactional file',
    text: 'create table a (id int);\ncreate index concurrently on a (id);',
    place: { line: 2, column: 1 },
    says: 'no-transaction',
    excerpt: ['  2 | create index concurrently on a (id);', '    | ^'],
  },
  {
    input: 'a wrong setting of the file',
    text: '-- alteration: no-transactions\ncreate table a (id int);',
    place: { line: 1, column: 1 },
    says: '"no-transactions" means nothing after "-- alteration:"',
    excerpt: ['  1 | -- alteration: no-transactions', '    | ^'],
  },
];

describe.concurrent('an SQL file is refused before anything is run, with file, line, column and caret:', () => {
  for (const { input, text, place, says, excerpt } of refusals) {
    test(input, async () => {
      const sandbox = await createSandbox({ ...before, '1.0.0-2-a.sql': text });
      const { result, error } = await refuse(sandbox);
      expect(result.stderr).toContain(says);
      expect(result.stderr).toContain(`  at alterations/1.0.0-2-a.sql:${place.line}:${place.column}\n`);
      expect(result.stderr).toContain(excerpt.join('\n'));
      const [problem] = error.problems;
      expect(problem).toMatchObject({
        file: '1.0.0-2-a.sql',
        ...place,
        message: expect.stringContaining(says),
      });
      expect(problem?.excerpt).toContain(excerpt.map((line) => line.slice(2)).join('\n'));
    });
  }

  test('text in another encoding', async () => {
    const sandbox = await createSandbox(before);
    const text = Buffer.concat([
      Buffer.from("-- names\nselect 'Ren"),
      Buffer.from([0xe9]),
      Buffer.from("';\n"),
    ]);
    await writeFile(join(sandbox.dir, '1.0.0-2-a.sql'), text);
    const { result, error } = await refuse(sandbox);
    expect(error.problems).toMatchObject([{ file: '1.0.0-2-a.sql', line: 2, column: 12 }]);
    expect(result.stderr).toContain('not UTF-8');
    expect(result.stderr).toMatch(/ {2}2 \| select 'Ren.';\n {4}\| {12}\^/);
  });

  test('an empty file', async () => {
    const { result, error } = await refuse(await createSandbox({ ...before, '1.0.0-2-a.sql': '' }));
    expect(error.problems).toMatchObject([{ file: '1.0.0-2-a.sql' }]);
    expect(result.stderr).toContain('"1.0.0-2-a.sql" is empty');
  });

  test('a file that is a folder is no alteration', async () => {
    const sandbox = await createSandbox(before);
    await mkdir(join(sandbox.dir, '1.0.0-2-a.sql'));
    expect(await sandbox.run(['deploy'])).toMatchObject({ exitCode: 0 });
  });

  test('what is wrong in several files, all at once', async () => {
    const { result, error } = await refuse(
      await createSandbox({
        ...before,
        '1.0.0-2-a.sql': 'begin; commit;',
        '1.0.0-3-b.sql': '\\set x 1\nselect 1;',
        '1.0.0-4-c.ts': 'export default 1;',
        '1.0.0-5-d.up.sql': 'create table d (id int);',
        '1.0.0-5-d.down.sql': 'commit;',
      }),
    );
    const files = ['1.0.0-2-a.sql', '1.0.0-2-a.sql', '1.0.0-3-b.sql', '1.0.0-4-c.ts', '1.0.0-5-d.down.sql'];
    expect(error.problems.map(({ file }) => file)).toEqual(files);
    for (const file of files) expect(result.stderr).toContain(file);
    expect(result.stderr).toContain('Nothing was run');
  });
});

describe.concurrent('a module is refused before anything is run:', () => {
  test('a syntax error, with file, line, column and caret', async () => {
    const text = 'export default {\n  up: async () => {\n    const = 1;\n  },\n};\n';
    const { result, error } = await refuse(await createSandbox({ ...before, '1.0.0-2-a.ts': text }));
    expect(error.problems).toMatchObject([{ file: '1.0.0-2-a.ts', line: 3, column: 11 }]);
    expect(result.stderr).toContain('  at alterations/1.0.0-2-a.ts:3:11\n');
    expect(result.stderr).toContain('  3 |     const = 1;\n    |           ^\n');
  });

  test('a helper that throws while it is imported, with its own place', async () => {
    const files = {
      '1.0.0-2-a.ts': `import './utils/helper.ts';\nexport default { up: async () => {} };\n`,
      'utils/helper.ts': `const limits = JSON.parse('{');\nexport { limits };\n`,
    };
    const { result } = await refuse(await createSandbox({ ...before, ...files }));
    expect(result.stderr).toContain('"1.0.0-2-a.ts" cannot be loaded');
    expect(result.stderr).toContain('at alterations/utils/helper.ts:1:');
  });

  test.for([
    ['no default export', 'export const up = async () => {};', 'has no default export; it exports "up"'],
    ['a function', 'export default async () => {};', 'has a function as its default export'],
    [
      'no up',
      'export default { down: async () => {} };',
      'has no "up": its default export is an object with "down"',
    ],
    ['an up that is no function', `export default { up: 'create table a' };`, '"up" that is a string'],
    [
      'a down that is no function',
      'export default { up: async () => {}, down: [] };',
      '"down" that is an array',
    ],
  ] as const)('%s, and what was found instead', async ([, text, says]) => {
    const { result } = await refuse(await createSandbox({ ...before, '1.0.0-2-a.ts': text }));
    expect(result.stderr).toContain('"1.0.0-2-a.ts"');
    expect(result.stderr).toContain(says);
  });
});
