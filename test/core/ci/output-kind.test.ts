import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseOutput, disarm, hostFor, renderDocument } from '../../../src/cli/ci/output-kind.ts';
import { readGithubLog } from '../../support/github-log.ts';
import { createHost } from '../host.ts';

describe('the kind of output', () => {
  it.each([
    ['auto', {}, 'plain'],
    ['auto', { GITHUB_ACTIONS: 'true' }, 'github'],
    ['auto', { GITLAB_CI: 'true' }, 'gitlab'],
    ['auto', { GITHUB_ACTIONS: 'false', GITLAB_CI: 'false' }, 'plain'],
    ['plain', { GITHUB_ACTIONS: 'true' }, 'plain'],
    ['gitlab', { GITHUB_ACTIONS: 'true' }, 'gitlab'],
    ['github', {}, 'github'],
  ] as const)('%s with %j is %s', (asked, env, kind) => {
    expect(chooseOutput(asked, env)).toBe(kind);
  });
});

/** Text of the kind that could be a command. */
const speech = fc
  .array(
    fc.constantFrom(
      '::',
      ':',
      '##[',
      '#',
      '[',
      ']',
      'error',
      'stop-commands',
      ' ',
      '\t',
      '\u0085',
      '\n',
      '\r',
      'x',
      ',',
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

describe('text in the log of GitHub', () => {
  it.each([
    ['::error::no', ': :error::no'],
    ['  ::warning file=a::no', '  : :warning file=a::no'],
    ['fine\n\t::set-output name=a::no', 'fine\n\t: :set-output name=a::no'],
    ['a value ##[error]no', 'a value ## [error]no'],
  ])('%j is no command', (text, shown) => {
    expect(disarm(text)).toBe(shown);
  });

  it.each(['select a::int, b::text', 'http://[::1]:5432', '# [x]', '5 |   ::error::x', ''])(
    '%j stays as it is',
    (text) => {
      expect(disarm(text)).toBe(text);
    },
  );

  it('is never a command, whatever it is', () => {
    fc.assert(
      fc.property(speech, (text) => {
        const shown = disarm(text);

        expect(readGithubLog(shown).commands).toEqual([]);
        expect(disarm(shown)).toBe(shown);
      }),
      { numRuns: 2_000 },
    );
  });

  it('the reader of this test knows a command when it sees one', () => {
    expect(readGithubLog('x\n ::error file=a%2Cb,line=3::100%25%0Asure\ny ##[warning]z').commands).toEqual([
      { name: 'error', properties: { file: 'a,b', line: '3' }, message: '100%\nsure' },
      { name: 'warning', properties: {}, message: 'z' },
    ]);
  });
});

describe('a document on stdout', () => {
  it('holds no command for GitHub, and says the same', () => {
    const document = { message: '::error::a\n##[error]b \\##[warning]c', list: ['::warning::d'] };

    const text = renderDocument(document, 'github');

    expect(readGithubLog(text).commands).toEqual([]);
    expect(JSON.parse(text)).toEqual(document);
  });

  it('is plain JSON elsewhere', () => {
    expect(renderDocument({ a: '##[error]' }, 'plain')).toBe('{\n  "a": "##[error]"\n}');
  });
});

describe('the streams', () => {
  it.each([
    ['plain', '::error::x'],
    ['github', ': :error::x'],
    ['gitlab', '::error::x'],
  ] as const)('of %s take the text as %s', (kind, text) => {
    const { host, written } = createHost({});
    const { stdout, stderr } = hostFor(kind, host);

    stdout.write('::error::x');
    stderr.write('::error::x');

    expect(written).toEqual({ stdout: text, stderr: text });
  });

  it('of a pipeline are no terminals, for which lines would be broken and drawn again', () => {
    const { host } = createHost({});
    const terminal = { ...host, stderr: { ...host.stderr, isTTY: true, columns: 40 } };

    expect(hostFor('github', terminal).stderr).toMatchObject({ isTTY: false, columns: 80 });
    expect(hostFor('plain', terminal).stderr).toMatchObject({ isTTY: true, columns: 40 });
  });
});
