import { rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { Ending } from '../ending.ts';
import type { Host } from '../host.ts';
import { listCodeQuality } from './code-quality.ts';
import { listFindings } from './findings.ts';
import { findSourceRoot } from './source-path.ts';

const reportName = 'gl-code-quality-report.json';

/** Writes GitLab's code quality report. Commands that write into the repository leave none there. */
export async function concludeGitlab(ending: Ending, host: Host, dir: string): Promise<void> {
  if (ending.command === 'create' || ending.command === 'release') return;
  const checkout = host.env['CI_PROJECT_DIR'];
  const root = await findSourceRoot(host, dir, checkout);
  const path = join(checkout ? resolve(host.cwd, checkout) : host.cwd, reportName);
  const issues = listCodeQuality(listFindings(ending), root);
  try {
    await rm(path, { force: true }); // a link there would lead the report elsewhere
    await writeFile(path, `${JSON.stringify(issues, null, 2)}\n`);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    host.stderr.write(`The code quality report is not written: ${reason}.\n`);
  }
}
