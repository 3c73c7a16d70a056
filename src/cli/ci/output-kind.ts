import type { Host, OutputStream } from '../host.ts';

/** For whom the output is, beside the people who read it. */
export type OutputKind = 'plain' | 'github' | 'gitlab';

/** What was asked for; `auto` is what the environment tells of the pipeline. */
export function chooseOutput(asked: 'auto' | OutputKind, env: Host['env']): OutputKind {
  if (asked !== 'auto') return asked;
  if (env['GITHUB_ACTIONS'] === 'true') return 'github';
  return env['GITLAB_CI'] === 'true' ? 'gitlab' : 'plain';
}

/** The host whose streams suit the pipeline's log: no terminal, and on GitHub no line that is a command. */
export function hostFor(output: OutputKind, host: Host): Host {
  if (output === 'plain') return host;
  const spoken = output === 'github' ? disarm : (text: string) => text;
  return { ...host, stdout: logStream(host.stdout, spoken), stderr: logStream(host.stderr, spoken) };
}

function logStream(stream: OutputStream, spoken: (text: string) => string): OutputStream {
  return { isTTY: false, columns: 80, write: (text) => stream.write(spoken(text)) };
}

/**
 * The text without what GitHub's runner takes for a command: `::name …::` at the start of a line, also after blanks,
 * and the older `##[name …]` anywhere. A notice of PostgreSQL or a value in an error must not be able to speak to it.
 */
export function disarm(text: string): string {
  return text.replace(/^([\s\u0085]*):(?=:)/gm, '$1: ').replaceAll('##[', '## [');
}

/** The document as it stands on stdout. */
export function renderDocument(document: object, output: OutputKind): string {
  const text = JSON.stringify(document, null, 2);
  return output === 'github' ? text.replaceAll('##[', '#\\u0023[') : text; // the same to who parses it
}
