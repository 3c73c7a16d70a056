import { describe, expect, it } from 'vitest';
import { renderSummary, renderText, summaryLimitBytes } from '../../../src/cli/ci/github-summary.ts';
import type { Ending } from '../../../src/cli/ending.ts';
import { checked, deployed, failed, gone, planned, rolledBack, signingKeys, webhooks } from '../endings.ts';

const summary = (ending: Partial<Ending>, room = summaryLimitBytes) =>
  renderSummary({ command: 'deploy', exitCode: 0, document: deployed, text: 'As told.', ...ending }, room);

/** What a browser shows of character references. */
const decode = (text: string) =>
  text.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));

describe('the job summary', () => {
  it('of a deploy says where the database is, and what was applied in what time', () => {
    const document = {
      ...deployed,
      applied: [
        { ...signingKeys, late: true, durationMs: 1_500 },
        { ...webhooks, late: false, durationMs: 12 },
      ],
      missing: [gone],
      accepted: ['1.1.0-5-x.sql'],
      pending: 2,
    };

    expect(
      decode(summary({ document })),
    ).toBe(`### ✔ <code>alteration deploy latest</code>: applied 2 alterations, the database is at 1.4.0

Database identity at db.example.com:5432 as deployer: version **1.4.0** (was 1.3.0).

| alteration | state | took |
| --- | --- | --- |
| <code>${signingKeys.file}</code> | applied, late | 1.5 s |
| <code>${webhooks.file}</code> | applied | 12 ms |

- applied, but the file is missing: prune-sessions (1.2.0-beta.2, 1706621228)
- accepted as it is now, edited after it was applied: <code>1.1.0-5-x.sql</code>
- 2 alterations beyond latest are pending

`);
  });

  it('of a dry run lists what is planned', () => {
    expect(decode(summary({ document: planned }))).toContain(`would apply 2 alterations to reach latest

Database identity at db.example.com:5432 as deployer: version **1.3.0**.

| alteration | state |
| --- | --- |
| <code>${signingKeys.file}</code> | planned, late |
| <code>${webhooks.file}</code> | planned |
`);
  });

  it('of a rollback lists what was taken back', () => {
    expect(decode(summary({ command: 'rollback', document: rolledBack }))).toContain(
      `| <code>${webhooks.file}</code> | rolled back | 7 ms |`,
    );
  });

  it('of a failure has the message, all that was told, and what is applied and what is not', () => {
    const text = '✖ it failed\n\n  3 | create unique index\n    | ^';

    expect(
      decode(summary({ exitCode: 4, document: failed, text })),
    ).toBe(`### ✖ <code>alteration deploy</code> (exit code 4): "${webhooks.file}" failed: could not create unique index "hooks_url".

\`\`\`text
${text}
\`\`\`

| alteration | state |
| --- | --- |
| <code>${signingKeys.file}</code> | applied |
| <code>${webhooks.file}</code> | **failed** |
| <code>1.5.0-1758529991-index-sessions.ts</code> | not applied |

`);
  });

  it('of any other command holds what it printed', () => {
    expect(summary({ command: 'check', document: checked, text: 'Up to date.\n' })).toBe(
      '### ✔ <code>alteration check latest</code>: up to date with latest, the database is at 1.4.0\n\n```text\nUp to date.\n```\n\n',
    );
  });

  it('keeps a text with fences of its own in one fence', () => {
    const text = 'a\n```\n# not a heading\n`````\n</details>';

    expect(summary({ exitCode: 4, document: failed, text })).toContain(
      `\n\`\`\`\`\`\`text\n${text}\n\`\`\`\`\`\`\n`,
    );
  });

  it.each([
    '<img src=x onerror=alert(1)>',
    'a | b',
    '`code` **bold** _it_ ~~no~~ [link](https://x) ![i](y)',
    '@somebody #12 :tada: $x$ \\| &lt;',
  ])('shows %s as it is', (message) => {
    const document = { ...failed, error: { ...failed.error, message } };

    const heading = summary({ exitCode: 4, document }).split('\n')[0] ?? '';

    expect(heading.replace(/&#\d+;|<\/?code>/g, '')).not.toMatch(/[<>|`*_~[\]\\@$&]|#\d|:\/\//);
    expect(decode(heading)).toContain(message);
  });

  it('has no line of its own for a message of several lines', () => {
    expect(renderText('one\n\n# two\r\n- three')).toBe('one &#35; two - three');
  });

  it('of very many alterations stays below the limit, and shows those about the failure', () => {
    const count = 3_000;
    const files = Array.from({ length: count }, (_, index) => `1.0.0-${index}-${'x'.repeat(200)}.sql`);
    const progress = { direction: 'up', done: files, remaining: files } as const;
    const document = {
      ...failed,
      error: { ...failed.error, progress: { ...progress, done: [...files], remaining: [...files] } },
    };

    const text = summary({ exitCode: 4, document, text: 'y'.repeat(3_000_000) });

    expect(Buffer.byteLength(text)).toBeLessThan(summaryLimitBytes);
    expect(text).toContain('2750 alterations before these');
    expect(text).toContain('and 2751 more');
  });

  it('is its heading alone where the room is small, and nothing where there is none', () => {
    const document = { ...deployed, pending: 1 };

    expect(summary({ document }, 300)).toBe(
      '### ✔ <code>alteration deploy latest</code>: applied 1 alteration, the database is at 1.4.0\n\nThe rest is too long for a summary; the log has it.\n\n',
    );
    expect(summary({ document }, 20)).toBe('');
    expect(summary({ document }, -5)).toBe('');
  });
});
