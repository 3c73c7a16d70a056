import { describe, expect, it } from 'vitest';
import { listCodeQuality } from '../../../src/cli/ci/code-quality.ts';
import { listFindings } from '../../../src/cli/ci/findings.ts';
import { inSections, renderSectionMarker } from '../../../src/cli/ci/gitlab-sections.ts';
import { createPalette } from '../../../src/cli/palette.ts';
import { createPrettyProgress } from '../../../src/cli/progress.ts';
import { checked, deployed, failed, signingKeys, unreachable, unusable, webhooks } from '../endings.ts';
import { createHost } from '../host.ts';

const root = { folder: '/builds/app/alterations', named: 'alterations', checkout: '/builds/app' };
const qualityOf = (document: Parameters<typeof listFindings>[0]['document'], exitCode: number) =>
  listCodeQuality(listFindings({ document, exitCode }), root);

describe('the code quality report', () => {
  it('has an entry at the place of each problem', () => {
    expect(qualityOf(unusable, 4)).toEqual([
      {
        description: `"${signingKeys.file}" has no default export.`,
        check_name: 'alteration-unusable',
        fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
        severity: 'critical',
        location: { path: `alterations/${signingKeys.file}`, lines: { begin: 1 } },
      },
      {
        description: 'Syntax error at or near "tabel".',
        check_name: 'alteration-unusable',
        fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
        severity: 'critical',
        location: { path: `alterations/${webhooks.file}`, lines: { begin: 3 } },
      },
    ]);
  });

  it('calls a warning minor', () => {
    const late = { ...deployed, applied: [{ ...webhooks, late: true, durationMs: 1 }] };

    expect(qualityOf(late, 0)).toMatchObject([{ check_name: 'late', severity: 'minor' }]);
  });

  it.each([
    ['nothing is wrong', checked, 0],
    ['nothing wrong is about a file', unreachable, 9],
  ])('is empty where %s', (_, document, exitCode) => {
    expect(qualityOf(document, exitCode)).toEqual([]);
  });

  it('knows a problem again that has moved to another line, and no other for it', () => {
    const moved = { ...failed, error: { ...failed.error, place: { file: webhooks.file, line: 99 } } };
    const other = { ...failed, error: { ...failed.error, message: 'Something else.' } };
    const fingerprint = (document: typeof failed) => qualityOf(document, 4)[0]?.fingerprint;

    expect(fingerprint(moved)).toBe(fingerprint(failed));
    expect(fingerprint(other)).not.toBe(fingerprint(failed));
  });

  it('tells two of the same words in one file apart', () => {
    const [finding] = listFindings({ document: failed, exitCode: 4 });
    const twice = finding ? [finding, { ...finding, line: 9 }] : [];

    const prints = listCodeQuality(twice, root).map(({ fingerprint }) => fingerprint);

    expect(new Set(prints).size).toBe(2);
  });
});

describe('a section of the log', () => {
  it('is marked as GitLab reads it', () => {
    expect(renderSectionMarker('start', 'alteration_1', 1_560_896_352)).toBe(
      '\u001b[0Ksection_start:1560896352:alteration_1[collapsed=true]\r\u001b[0K',
    );
    expect(renderSectionMarker('end', 'alteration_1', 1_560_896_353)).toBe(
      '\u001b[0Ksection_end:1560896353:alteration_1\r\u001b[0K\n',
    );
  });

  const step = { direction: 'up', alteration: webhooks.file, index: 1, total: 1 } as const;

  it('holds the alterations of the plan, with the plan as its header, and ends once', async () => {
    const { host, written } = createHost({});
    const progress = await createPrettyProgress(host.stderr, createPalette('off'), 'info');
    const sections = inSections(progress, host.stderr, 'alteration_1');

    sections.onNotice('Before.');
    sections.onEvent({ type: 'planned', direction: 'up', total: 1, late: 0 });
    sections.onEvent({ type: 'finished', ...step, durationMs: 5 });
    sections.end();
    sections.end();

    expect(written.stderr.replaceAll('\u001b[0K', '').replaceAll(/(?<=section_\w+:)\d{10}/g, 'now')).toBe(
      `Before.\nsection_start:now:alteration_1[collapsed=true]\rPlan      1 alteration to apply\n✔ ${webhooks.file}  5 ms\nsection_end:now:alteration_1\r\n`,
    );
  });

  it('is not opened for a plan with nothing in it', async () => {
    const { host, written } = createHost({});
    const progress = await createPrettyProgress(host.stderr, createPalette('off'), 'info');
    const sections = inSections(progress, host.stderr, 'alteration_1');

    sections.onEvent({ type: 'planned', direction: 'up', total: 0, late: 0 });
    sections.end();

    expect(written.stderr).not.toContain('section');
  });
});
