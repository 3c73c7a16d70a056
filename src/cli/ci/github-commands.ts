import type { Finding } from './findings.ts';
import { renderSourcePath, type SourceRoot } from './source-path.ts';

/** One workflow command, as GitHub's runner reads it from a line of the log. */
export function renderWorkflowCommand(
  name: string,
  properties: Readonly<Record<string, string | number | undefined>>,
  message: string,
): string {
  const given = Object.entries(properties)
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([key, value]) => `${key}=${escapeProperty(String(value))}`);
  return `::${[name, given.join(',')].filter(Boolean).join(' ')}::${escapeMessage(message)}`;
}

/** An annotation; with a file it stands at its line in the changes of a pull request. */
export function renderAnnotation({ level, title, message, file, line, column }: Finding, root: SourceRoot) {
  const path = file === undefined ? undefined : renderSourcePath(file, root);
  return renderWorkflowCommand(level, { file: path, line, col: column, title }, message);
}

function escapeMessage(text: string): string {
  return text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
}

function escapeProperty(text: string): string {
  return escapeMessage(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
}
