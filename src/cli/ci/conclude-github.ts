import { randomUUID } from 'node:crypto';
import { appendFile, stat } from 'node:fs/promises';
import type { Ending } from '../ending.ts';
import type { Host } from '../host.ts';
import { listFindings } from './findings.ts';
import { renderAnnotation, renderWorkflowCommand } from './github-commands.ts';
import { describeOutputs, renderOutputs } from './github-outputs.ts';
import { renderSummary, summaryLimitBytes } from './github-summary.ts';
import { findSourceRoot } from './source-path.ts';

/** Tells GitHub how a command ended: annotations in the log, outputs of the step, a job summary. */
export async function concludeGithub(ending: Ending, host: Host, dir: string): Promise<void> {
  const root = await findSourceRoot(host, dir, host.env['GITHUB_WORKSPACE']);
  const delimiter = `alteration_${randomUUID()}`;
  const outputs = { ...describeOutputs(ending) };
  const failures = [
    await appendTo('GITHUB_OUTPUT', host, async () => renderOutputs(outputs, delimiter)),
    await appendTo('GITHUB_STEP_SUMMARY', host, async (path) =>
      renderSummary(ending, summaryLimitBytes - (await sizeOf(path))),
    ),
  ].filter((failure) => failure !== undefined);
  const lines = listFindings(ending).map((finding) => renderAnnotation(finding, root));
  if (failures.length > 0) {
    const title = 'alteration: no outputs or no summary';
    lines.push(renderWorkflowCommand('notice', { title }, failures.join(' ')));
  }
  for (const line of lines) host.stderr.write(`${line}\n`); // the runner reads commands there too; stdout may be a document
}

/** Adds to the file that a variable names. Gives the reason when it cannot. */
async function appendTo(
  variable: string,
  { env }: Host,
  render: (path: string) => Promise<string>,
): Promise<string | undefined> {
  const path = env[variable];
  if (!path) return `${variable} is not set.`;
  try {
    await appendFile(path, await render(path));
    return undefined;
  } catch (error) {
    return `${variable} cannot be written: ${error instanceof Error ? error.message : String(error)}.`;
  }
}

async function sizeOf(path: string): Promise<number> {
  const { size } = await stat(path);
  return size;
}
