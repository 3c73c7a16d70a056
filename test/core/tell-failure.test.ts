import { describe, expect, it } from 'vitest';
import { guessTelling, type Telling, tellFailure, tellLateFailure } from '../../src/cli/tell-failure.ts';
import { UsageError } from '../../src/core/errors.ts';
import { readGithubLog } from '../support/github-log.ts';
import { createHost } from './host.ts';

const inWords: Telling = {
  command: 'deploy',
  json: false,
  logFormat: 'pretty',
  output: 'plain',
  folder: 'alterations',
  color: undefined,
};
const usage = new UsageError('"postgres://h/db?password=S3CRET" is not a target.');
const defect = new TypeError('pool.connect is not a function');

describe('a failure', () => {
  it('is told in words, with the help to look at', async () => {
    const { host, written } = createHost({});

    expect(await tellFailure(usage, host, inWords)).toBe(2);

    expect(written).toEqual({
      stdout: '',
      stderr: '✖ "postgres://h/db?password=***" is not a target.\n\nSee alteration deploy --help.\n',
    });
  });

  it('is told as a log line', async () => {
    const { host, written } = createHost({});

    expect(await tellFailure(usage, host, { ...inWords, logFormat: 'json' })).toBe(2);

    expect(JSON.parse(written.stderr)).toEqual({
      level: 'error',
      time: expect.any(String),
      command: 'deploy',
      code: 'usage',
      exitCode: 2,
      problems: [],
      hint: 'See alteration deploy --help.',
      msg: '"postgres://h/db?password=***" is not a target.',
    });
    expect(written.stdout).toBe('');
  });

  it.each(['pretty', 'json'] as const)('is a document on stdout too, beside %s', async (logFormat) => {
    const { host, written } = createHost({});

    await tellFailure(usage, host, { ...inWords, logFormat, json: true });

    expect(JSON.parse(written.stdout)).toMatchObject({
      command: 'deploy',
      error: { code: 'usage', message: '"postgres://h/db?password=***" is not a target.' },
    });
    expect(written.stderr).toContain('is not a target');
  });

  it('that nobody foresaw keeps its stack', async () => {
    const { host, written } = createHost({});

    expect(await tellFailure(defect, host, { ...inWords, logFormat: 'json' })).toBe(1);

    expect(JSON.parse(written.stderr)).toMatchObject({
      code: 'defect',
      exitCode: 1,
      msg: 'pool.connect is not a function',
      stack: defect.stack,
    });
  });

  it.each([
    ['pretty', /^✖ What was asked for is done; after that: pool\.connect is not a function\n$/],
    ['json', /^\{"level":"error",.*"msg":"What was asked for is done; after that: pool\.connect/],
  ])('after all is done is told on stderr alone: %s', async (format, told) => {
    const { host, written } = createHost({
      argv: ['deploy', '--json'],
      env: { ALTERATION_LOG_FORMAT: format },
    });

    expect(await tellLateFailure(defect, host)).toBe(1);

    expect(written).toEqual({ stdout: '', stderr: expect.stringMatching(told) });
  });
});

describe('a failure in the log of GitHub', () => {
  const env = { GITHUB_ACTIONS: 'true' };
  const sneaky = new TypeError('first\n::error file=x::from the database\n##[warning]too');

  it('is told without a command that it brought along, and as an annotation', async () => {
    const { host, written } = createHost({ env });

    await tellFailure(sneaky, host, { ...inWords, output: 'github', json: true });

    const { commands } = readGithubLog(written.stderr);
    expect(commands.map(({ name, message }) => [name, message])).toEqual([
      ['error', sneaky.message],
      ['notice', expect.stringContaining('GITHUB_OUTPUT is not set')],
    ]);
    expect(readGithubLog(written.stdout).commands).toEqual([]);
    expect(JSON.parse(written.stdout)).toMatchObject({ error: { message: sneaky.message } });
  });

  it('after all is done is an annotation too', async () => {
    const { host, written } = createHost({ env });

    expect(await tellLateFailure(sneaky, host)).toBe(1);

    expect(readGithubLog(written.stderr).commands[0]).toMatchObject({
      name: 'error',
      message: expect.stringMatching(/^What was asked for is done; after that: first\n/),
    });
  });
});

describe('before the settings are read', () => {
  it.each([
    [[], {}, 'json'],
    [[], { ALTERATION_LOG_FORMAT: 'pretty' }, 'pretty'],
    [['--log-format', 'pretty'], { ALTERATION_LOG_FORMAT: 'json' }, 'pretty'],
    [['--log-format=pretty'], {}, 'pretty'],
    [['--log-format=pretty', '--log-format=json'], {}, 'json'],
    [['--log-format'], {}, 'json'],
    [['--log-format', 'loud'], { ALTERATION_LOG_FORMAT: 'pretty' }, 'json'],
  ] as const)('%j and %j tell a failure as %s', (argv, env, logFormat) => {
    const { host } = createHost({ argv, env });

    expect(guessTelling(host).logFormat).toBe(logFormat);
  });

  it.each([
    [[], { GITHUB_ACTIONS: 'true' }, 'github', 'pretty'],
    [[], { GITLAB_CI: 'true' }, 'gitlab', 'pretty'],
    [['--output', 'plain'], { GITHUB_ACTIONS: 'true' }, 'plain', 'json'],
    [['--output=gitlab'], { ALTERATION_OUTPUT: 'github' }, 'gitlab', 'pretty'],
    [[], { ALTERATION_OUTPUT: 'github', ALTERATION_LOG_FORMAT: 'json' }, 'github', 'json'],
    [['--output', 'jenkins'], { GITHUB_ACTIONS: 'true' }, 'github', 'pretty'],
  ] as const)('%j and %j are for %s, and tell it as %s', (argv, env, output, logFormat) => {
    expect(guessTelling(createHost({ argv, env }).host)).toMatchObject({ output, logFormat });
  });

  it('a terminal is told in words', () => {
    const { host } = createHost({});

    expect(guessTelling({ ...host, stderr: { ...host.stderr, isTTY: true } }).logFormat).toBe('pretty');
  });

  it.each([
    [['deploy', '--json'], {}, true],
    [['deploy'], { ALTERATION_JSON: 'yes' }, true],
    [['deploy'], { ALTERATION_JSON: '0' }, false],
  ])('%j and %j ask for a document: %s', (argv, env, json) => {
    expect(guessTelling(createHost({ argv, env }).host).json).toBe(json);
  });
});
