/** A workflow command that GitHub's runner would have carried out. */
export interface WorkflowCommand {
  readonly name: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly message: string;
}

const known = new Set([
  'add-mask',
  'add-matcher',
  'add-path',
  'debug',
  'echo',
  'endgroup',
  'error',
  'group',
  'notice',
  'remove-matcher',
  'save-state',
  'set-env',
  'set-output',
  'stop-commands',
  'warning',
]);

/** What GitHub's runner makes of the lines of a stream: the commands it obeys, and the rest, which it shows. */
export function readGithubLog(log: string): { commands: WorkflowCommand[]; shown: string[] } {
  const commands: WorkflowCommand[] = [];
  const shown: string[] = [];
  let token: string | undefined;
  for (const line of log.split(/\r\n|\r|\n/)) {
    const command = parseLine(line, token);
    if (command && command.name === token) token = undefined;
    else if (!command || token !== undefined) shown.push(line);
    else if (command.name === 'stop-commands') token = command.message;
    else commands.push(command);
  }
  return { commands, shown };
}

function parseLine(line: string, token: string | undefined): WorkflowCommand | undefined {
  const present = /^[\s\u0085]*::(?<name>[^\s:]*)(?:\s+(?<properties>.*?))?::(?<message>.*)$/s.exec(line);
  const older = /##\[(?<name>[^\s\]]*)(?:\s+(?<properties>[^\]]*))?\](?<message>.*)$/s.exec(line);
  for (const [match, separator] of [
    [present, ','],
    [older, ';'],
  ] as const) {
    const { name = '', properties = '', message = '' } = match?.groups ?? {};
    if (!known.has(name) && name !== token) continue;
    const pairs = properties.split(separator).filter(Boolean);
    return {
      name,
      properties: Object.fromEntries(pairs.map((pair) => pair.split(/=(.*)/s).slice(0, 2).map(unescapeText))),
      message: unescapeText(message),
    };
  }
  return undefined;
}

function unescapeText(text: string): string {
  const meanings: Readonly<Record<string, string>> = {
    '%0A': '\n',
    '%0D': '\r',
    '%2C': ',',
    '%3A': ':',
    '%25': '%',
  };
  return text.replace(/%(?:0A|0D|2C|3A|25)/g, (code) => meanings[code] ?? code);
}

/** The values that a file of GITHUB_OUTPUT holds; throws for a line that the runner would refuse. */
export function readGithubOutputs(text: string): Readonly<Record<string, string>> {
  const outputs: Record<string, string> = {};
  const lines = text.split('\n');
  while (lines.length > 0) {
    const line = lines.shift() ?? '';
    if (line === '') continue;
    const [, name = '', sign, rest = ''] = /^([^=<]+)(=|<<)(.*)$/s.exec(line) ?? [];
    if (name === '') throw new Error(`The runner refuses the line ${JSON.stringify(line)}.`);
    const end = lines.indexOf(rest);
    if (sign === '<<' && end === -1) throw new Error(`The delimiter of "${name}" does not come again.`);
    outputs[name] =
      sign === '='
        ? rest
        : lines
            .splice(0, end + 1)
            .slice(0, -1)
            .join('\n');
  }
  return outputs;
}
