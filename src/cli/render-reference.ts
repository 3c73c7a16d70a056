import { type CommandDefinition, commandDefinitions } from './commands.ts';
import {
  flagOf,
  type SettingDefinition,
  type SettingName,
  settingDefinitions,
  variablesOf,
} from './settings.ts';

/** The reference of commands and settings, in Markdown. */
export function renderReference(): string {
  const commands = Object.entries(commandDefinitions).map(([name, definition]) =>
    renderCommand(name, definition),
  );
  return `# Reference

This page is made from the program's own tables by \`npm run docs\`.

## Commands

${commands.join('\n\n')}

## Settings

A flag wins over the environment, the environment over the \`.env\` file, that over the config file
(\`alteration.config.ts\`, \`.mts\`, \`.js\`, \`.mjs\` or \`.json\`), and that over the default. Durations carry their
unit: \`500ms\`, \`5s\`, \`2m\`, \`1h\`. Values of the \`.env\` file may span lines; scripts see them too.

| flag | variables | config file | default | meaning |
| --- | --- | --- | --- | --- |
${Object.keys(settingDefinitions).map(renderSetting).join('\n')}

Without a database URL, libpq's \`PGHOST\`, \`PGPORT\`, \`PGDATABASE\`, \`PGUSER\`, \`PGPASSWORD\`, \`PGPASSFILE\`,
\`PGSSLMODE\`, \`PGSSLROOTCERT\`, \`PGSSLCERT\`, \`PGSSLKEY\`, \`PGOPTIONS\`, \`PGSERVICE\` and \`PGSERVICEFILE\` are heeded.

The config file may hold \`rows\` too: \`'logto'\`, or \`{ interceptors, typeParsers }\` in slonik's shapes, for the rows
that scripts get.
`;
}

function renderCommand(
  name: string,
  { argument, description, settings, examples }: CommandDefinition,
): string {
  const shape = argument
    ? argument.need === 'required'
      ? ` <${argument.name}>`
      : ` [${argument.name}]`
    : '';
  const flags = settings.map((setting) => `\`${flagOf(setting)}\``);
  return [
    `### \`alteration ${name}${shape}\``,
    description,
    ...(argument ? [`\`${argument.name}\`: ${argument.description}.`] : []),
    ...(flags.length > 0 ? [`Options: ${flags.join(', ')}.`] : []),
    ['```sh', ...examples.map(([command, purpose]) => `alteration ${command}  # ${purpose}`), '```'].join(
      '\n',
    ),
  ].join('\n\n');
}

function renderSetting(name: string): string {
  const setting = name as SettingName; // a key of the table itself
  const { flag, description, inConfigFile, shownDefault }: SettingDefinition = settingDefinitions[setting];
  const variables = variablesOf(setting).map((variable) => `\`${variable}\``);
  return `| \`${flag}\` | ${variables.join(', ')} | ${inConfigFile ? `\`${name}\`` : ''} | ${shownDefault ?? ''} | ${description} |`;
}
