import { createHash } from 'node:crypto';
import type { Finding } from './findings.ts';
import { renderSourcePath, type SourceRoot } from './source-path.ts';

/** An entry of GitLab's code quality report. */
export interface CodeQualityIssue {
  readonly description: string;
  readonly check_name: string;
  /** The same for the same problem in every run; GitLab shows one of those that share it. */
  readonly fingerprint: string;
  readonly severity: 'minor' | 'critical';
  readonly location: { readonly path: string; readonly lines: { readonly begin: number } };
}

/** The findings that are about a file. A line may move without being another problem: it is not in the fingerprint. */
export function listCodeQuality(findings: readonly Finding[], root: SourceRoot): readonly CodeQualityIssue[] {
  const seen = new Map<string, number>();
  return findings.flatMap(({ file, rule, message, level, line }) => {
    if (file === undefined) return [];
    const path = renderSourcePath(file, root);
    const key = [rule, path, message].join('\0');
    const before = seen.get(key) ?? 0;
    seen.set(key, before + 1);
    return [
      {
        description: message,
        check_name: rule,
        fingerprint: createHash('sha256')
          .update(before === 0 ? key : `${key}\0${before}`)
          .digest('hex'),
        severity: level === 'error' ? 'critical' : 'minor',
        location: { path, lines: { begin: line ?? 1 } },
      },
    ];
  });
}
