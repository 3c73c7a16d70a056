import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { describe, expect, test } from 'vitest';
import { deployReportSchema, errorReportSchema } from '../../src/index.ts';
import type { CliResult } from '../support/cli.ts';
import { readGithubLog, readGithubOutputs } from '../support/github-log.ts';
import { moduleText } from '../support/module-text.ts';
import { type Sandbox, useSandboxes } from '../support/sandbox.ts';
import { waitUntil } from '../support/wait-until.ts';

const createSandbox = useSandboxes();

const first = { '1.0.0-1-first.sql': 'create table first (id int primary key, name text);' } as const;
/** What scripts and rows may say, as far as GitHub's runner would listen to it. */
const sneaky = '::error file=x.sql,line=1::from a row\n  ::warning::indented\n##[error]older';
const talkative = {
  ...first,
  '1.0.0-2-talk.ts': moduleText(`
    console.log(${JSON.stringify(sneaky)});
    console.error('::set-output name=applied::77');
    process.stdout.write('::add-mask::everything\\n');
    await connection.query(sql.unsafe\`insert into first values (1, \${${JSON.stringify(sneaky)}})\`);
  `),
} as const;
const failing = {
  ...talkative,
  '1.1.0-3-unique.sql': `-- a name twice\ninsert into first select 2, name from first;\n\n  create unique index on first (name);\n`,
  '1.1.0-4-after.sql': 'create table after (id int);',
} as const;

/** A step of a GitHub workflow in the sandbox, and what it left. */
async function runStep(
  { root, run }: Sandbox,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
) {
  const github = { GITHUB_OUTPUT: join(root, 'output'), GITHUB_STEP_SUMMARY: join(root, 'summary') };
  for (const path of Object.values(github)) await writeFile(path, '');
  const result = await run(args, {
    env: {
      GITHUB_ACTIONS: 'true',
      GITHUB_WORKSPACE: root,
      ALTERATION_LOG_FORMAT: undefined,
      ...github,
      ...env,
    },
  });
  const { commands, shown } = readGithubLog(result.stderr);
  return {
    result,
    commands,
    log: shown.join('\n'),
    outputs: readGithubOutputs(await readFile(github.GITHUB_OUTPUT, 'utf8')),
    summary: await readFile(github.GITHUB_STEP_SUMMARY, 'utf8'),
  };
}

describe.concurrent('in a workflow of GitHub', () => {
  test('a deploy leaves its outputs and a summary, in words and without colours', async () => {
    const sandbox = await createSandbox(first);

    const { result, commands, log, outputs, summary } = await runStep(sandbox, ['deploy', 'latest']);

    expect(result.exitCode).toBe(0);
    expect(commands).toEqual([]);
    expect(log).toMatch(/^✔ 1\.0\.0-1-first\.sql {2}\d+ ms$/m);
    expect(result.stdout + log).toBe(stripVTControlCharacters(result.stdout + log));
    expect(outputs).toEqual({
      applied: '1',
      'rolled-back': '0',
      planned: '0',
      pending: '0',
      version: '1.0.0',
      'exit-code': '0',
    });
    expect(summary).toMatch(
      /^### ✔ .*applied 1 alteration.*\n[\s\S]*\| <code>1\.0\.0-1-first\.sql<\/code> \| applied \| \d+ ms \|/,
    );
  });

  test('a failure is an annotation at the line of the alteration, with what was applied before it', async () => {
    const sandbox = await createSandbox(failing);

    const { result, commands, outputs, summary } = await runStep(sandbox, ['deploy']);

    expect(result.exitCode).toBe(4);
    expect(commands).toEqual([
      {
        name: 'error',
        properties: {
          file: 'alterations/1.1.0-3-unique.sql',
          line: '4',
          col: '3',
          title: 'alteration deploy failed, exit code 4',
        },
        message: expect.stringMatching(
          /^"1\.1\.0-3-unique\.sql" failed: could not create unique index "first_name_idx"\.\nKey \(name\)=/,
        ),
      },
    ]);
    expect(outputs).toMatchObject({ applied: '2', pending: '2', version: '', 'exit-code': '4' });
    expect(summary).toContain('| <code>1.0.0-2-talk.ts</code> | applied |');
    expect(summary).toContain('| <code>1.1.0-3-unique.sql</code> | **failed** |');
    expect(summary).toContain('| <code>1.1.0-4-after.sql</code> | not applied |');
  });

  test('neither a script nor a row speaks to the runner, in words or in documents', async () => {
    for (const args of [[], ['--json'], ['--log-format', 'json'], ['--log-format', 'json', '--json']]) {
      const sandbox = await createSandbox(failing);

      const { result, commands, log, outputs } = await runStep(sandbox, ['deploy', ...args]);

      expect(commands.map(({ name, properties }) => [name, properties['file']])).toEqual([
        ['error', 'alterations/1.1.0-3-unique.sql'],
      ]);
      expect(readGithubLog(result.stdout).commands).toEqual([]);
      expect(log).toContain('::error file=x.sql,line=1::from a row'); // the script's own print, as it is
      expect(outputs['applied']).toBe('2');
    }
  });

  test('with --json one document stands on stdout, and everything else on stderr', async () => {
    const sandbox = await createSandbox(failing);

    const failed = await runStep(sandbox, ['deploy', '--json']);
    const done = await runStep(sandbox, ['deploy', '1.0.0', '--json']);

    const document = errorReportSchema.parse(JSON.parse(failed.result.stdout));
    expect(document.error.database?.detail).toContain(sneaky);
    expect(failed.commands).toHaveLength(1);
    expect(deployReportSchema.parse(JSON.parse(done.result.stdout)).version).toBe('1.0.0');
    expect(done.outputs).toMatchObject({ applied: '0', version: '1.0.0', pending: '2' });
  });

  test('every file that cannot be loaded is an annotation of its own', async () => {
    const sandbox = await createSandbox({
      '1.0.0-1-a.sql': 'select 1;\n\n  alter tabel a;\n',
      '1.0.0-2-b.ts': 'export default { up: 7 };\n',
    });

    const { commands, outputs } = await runStep(sandbox, ['deploy']);

    expect(commands.map(({ properties: { file, line, col } }) => [file, line, col])).toEqual([
      ['alterations/1.0.0-1-a.sql', '3', '9'],
      ['alterations/1.0.0-2-b.ts', undefined, undefined],
    ]);
    expect(outputs).toMatchObject({ applied: '0', 'exit-code': '4' });
  });

  test('a check that finds something pending says so, and how much', async () => {
    const sandbox = await createSandbox(talkative);

    const { result, commands, outputs } = await runStep(sandbox, ['check']);

    expect(result.exitCode).toBe(3);
    expect(commands).toMatchObject([
      {
        name: 'error',
        message: '2 alterations are pending to reach latest: 1.0.0-1-first.sql, 1.0.0-2-talk.ts.',
      },
    ]);
    expect(outputs).toMatchObject({ pending: '2', version: '', 'exit-code': '3' });
  });

  test('a check of the files alone puts each problem at its line', async () => {
    const sandbox = await createSandbox({ ...first, '1.1.0-3-b.sql': 'select 1;\nselec 2;\n' });

    const { result, commands } = await runStep(sandbox, ['check', '--ci'], { DB_URL: undefined });

    expect(result.exitCode).not.toBe(0);
    expect(commands).toMatchObject([
      {
        name: 'error',
        properties: {
          file: 'alterations/1.1.0-3-b.sql',
          line: '2',
          col: '1',
          title: 'alteration check: sql',
        },
      },
    ]);
  });

  test('what is late, edited or missing is a warning', async () => {
    const sandbox = await createSandbox({ ...first, '1.1.0-5-later.sql': 'select 1;' });
    await sandbox.run(['deploy']);
    await writeFile(join(sandbox.dir, '1.0.0-2-late.sql'), 'select 2;');
    await writeFile(join(sandbox.dir, '1.0.0-1-first.sql'), 'create table first (id bigint);');

    const deploy = await runStep(sandbox, ['deploy', '--allow-edited']);
    const check = await runStep(sandbox, ['check']);

    expect(deploy.commands.map(({ name, properties: { file, title } }) => [name, file, title])).toEqual([
      ['warning', 'alterations/1.0.0-2-late.sql', 'Late alteration'],
      ['warning', 'alterations/1.0.0-1-first.sql', 'Edited alteration'],
    ]);
    expect(check.commands).toEqual([]);
  });

  test.each([
    [['deploy', '--lock-wait', 'soon'], 2, '--lock-wait: "soon" is not a duration'],
    [['depoly'], 2, 'Unknown command "depoly"'],
    [['deploy', 'x.y'], 2, '"x.y" is not a target'],
  ])('%j is an annotation too, though nothing was run', async (args, exitCode, message) => {
    const sandbox = await createSandbox(first);

    const { result, commands, outputs } = await runStep(sandbox, args);

    expect(result.exitCode).toBe(exitCode);
    expect(commands).toMatchObject([{ name: 'error', message: expect.stringContaining(message) }]);
    expect(outputs).toMatchObject({ applied: '0', 'exit-code': '2' });
  });

  test('files that cannot be written make no deploy fail; one notice tells', async () => {
    const sandbox = await createSandbox(first);
    await mkdir(join(sandbox.root, 'folder'));

    const { result, commands } = await runStep(sandbox, ['deploy'], {
      GITHUB_OUTPUT: undefined,
      GITHUB_STEP_SUMMARY: join(sandbox.root, 'folder'),
    });

    expect(result.exitCode).toBe(0);
    expect(commands).toMatchObject([{ name: 'notice' }]);
    expect(commands[0]?.message).toMatch(
      /GITHUB_OUTPUT is not set\. GITHUB_STEP_SUMMARY cannot be written: EISDIR/,
    );
    expect(await sandbox.query('select from alteration_history')).toHaveLength(1);
  });

  test('a run that is stopped says so, and the runner listens again', async () => {
    const sandbox = await createSandbox({ '1.0.0-1-slow.sql': 'select pg_sleep(60);' });
    const run = sandbox.start(['deploy', '--grace', '0'], { env: { GITHUB_ACTIONS: 'true' } });
    await waitUntil('the alteration is under way', async () => {
      const rows = await sandbox.query(
        `select from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()`,
      );
      return rows.length > 0;
    });

    run.kill('SIGTERM');
    const result = await run.result;

    expect(result.exitCode).toBe(143);
    expect(readGithubLog(result.stderr).commands[0]).toMatchObject({
      name: 'error',
      message: expect.stringMatching(/^Stopped by SIGTERM\./),
    });
  });

  test('colours come when they are asked for', async () => {
    const sandbox = await createSandbox(first);

    const { result, outputs } = await runStep(sandbox, ['deploy'], { FORCE_COLOR: '1' });

    expect(result.stderr).not.toBe(stripVTControlCharacters(result.stderr));
    expect(outputs).toMatchObject({ applied: '1' });
  });

  test('a completion script is what it is elsewhere', async () => {
    const sandbox = await createSandbox();

    const { result, outputs } = await runStep(sandbox, ['completion', 'zsh']);

    expect(result).toEqual(await sandbox.run(['completion', 'zsh']));
    expect([result.stderr, outputs]).toEqual(['', {}]);
  });

  test('--output plain is what it is elsewhere', async () => {
    const sandbox = await createSandbox(first);

    const { result, outputs, summary } = await runStep(sandbox, ['deploy', '--output', 'plain']);

    const lines = result.stderr
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line));
    expect(lines).toContainEqual(expect.objectContaining({ msg: 'finished' }));
    expect([outputs, summary]).toEqual([{}, '']);
  });
});

describe.concurrent('in a pipeline of GitLab', () => {
  const report = 'gl-code-quality-report.json';

  async function runJob(
    sandbox: Sandbox,
    args: readonly string[],
  ): Promise<{ result: CliResult; quality: unknown }> {
    const env = { GITLAB_CI: 'true', CI_PROJECT_DIR: sandbox.root, ALTERATION_LOG_FORMAT: undefined };
    const result = await sandbox.run(args, { env });
    const quality: unknown = JSON.parse(await readFile(join(sandbox.root, report), 'utf8'));
    return { result, quality };
  }

  test('the alterations of a deploy stand in a section of the log, and the report is empty', async () => {
    const sandbox = await createSandbox(first);

    const { result, quality } = await runJob(sandbox, ['deploy']);

    expect(result.exitCode).toBe(0);
    expect(result.stderr).toMatch(
      // biome-ignore lint/suspicious/noControlCharactersInRegex: GitLab's markers have them
      /\u001b\[0Ksection_start:\d{10}:(alteration_[\w-]+)\[collapsed=true\]\r\u001b\[0KPlan .*\n✔ 1\.0\.0-1-first\.sql .*\n\u001b\[0Ksection_end:\d{10}:\1\r\u001b\[0K\n$/,
    );
    expect(result.stdout).toMatch(/^Applied 1 alteration /);
    expect(quality).toEqual([]);
  });

  test('a failure stands behind the section, and in the report at its line', async () => {
    const sandbox = await createSandbox(failing);

    const { result, quality } = await runJob(sandbox, ['deploy']);

    expect(result.exitCode).toBe(4);
    expect(result.stderr.indexOf('section_end')).toBeLessThan(result.stderr.indexOf('✖ '));
    expect(result.stderr).toContain('section_end');
    expect(quality).toMatchObject([
      {
        check_name: 'alteration-failed',
        severity: 'critical',
        location: { path: 'alterations/1.1.0-3-unique.sql', lines: { begin: 4 } },
      },
    ]);
  });

  test('the config file can ask for it anywhere', async () => {
    const sandbox = await createSandbox(first);
    await writeFile(join(sandbox.root, 'alteration.config.json'), '{ "output": "gitlab" }');

    await sandbox.run(['check']);

    expect(JSON.parse(await readFile(join(sandbox.root, report), 'utf8'))).toEqual([]);
  });
});
