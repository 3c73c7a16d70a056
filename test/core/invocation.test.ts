import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { type CommandDefinition, commandDefinitions } from '../../src/cli/commands.ts';
import { type Invocation, readPlainArguments } from '../../src/cli/invocation.ts';
import { parseArguments } from '../../src/cli/program.ts';
import { settingDefinitions } from '../../src/cli/settings.ts';
import { AlterationError } from '../../src/core/errors.ts';

const commands: readonly (readonly [string, CommandDefinition])[] = Object.entries(commandDefinitions);
const flags = Object.values(settingDefinitions).map(({ flag }) => flag.split(' ')[0] ?? flag);

describe('arguments that are plain', () => {
  it.each([
    'deploy',
    'deploy latest',
    'deploy 1.4.0 --dry-run',
    'deploy --lock-wait 5s --lock-wait=6s latest',
    'rollback 1.3.0 --yes',
    'list --pending --json',
    'status --no-color',
    'check --wait 5m',
    'create add-users --sql-pair',
    'completion zsh',
  ])('are read without the program: %s', (line) => {
    expect(readPlainArguments(line.split(' '))).toEqual(parseArguments(line.split(' '), 80));
  });

  it.each(commands)('take every option of %s', (name, { argument, settings }) => {
    const words = settings.flatMap((setting) => {
      const [option = '', value] = settingDefinitions[setting].flag.split(' ');
      return value === undefined ? [option] : [option, 'value'];
    });
    const argv = [name, ...(argument ? ['1.0.0'] : []), ...words];

    expect(readPlainArguments(argv)).toEqual(parseArguments(argv, 80));
  });

  it.each([
    '',
    '--version',
    '--help',
    'help',
    'help deploy',
    'deploy --help',
    'deploy -h',
    'deploy -- latest',
    'deploy --lock-wait',
    'deploy --lock-wait --dry-run',
    'deploy --dry-run=true',
    'deploy --dry',
    'deploy latest next',
    'status latest',
    'rollback',
    'toString',
    '--json deploy',
  ])('are not "%s": the program reads or refuses them', (line) => {
    expect(readPlainArguments(line.split(' '))).toBeUndefined();
  });
});

test('the program says the same of whatever is read without it', () => {
  const name = fc.constantFrom(...commands.map(([one]) => one));
  const word = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...flags) },
    {
      weight: 3,
      arbitrary: fc.constantFrom('latest', '1.4.0', '5s', 'a b', '', '-', '--', '-1', '-x', 'help', '=', 'é'),
    },
    fc
      .tuple(fc.constantFrom(...flags), fc.constantFrom('', 'x', 'a=b', '-x', '--json'))
      .map((parts) => parts.join('=')),
    fc.constantFrom('--help', '-h', '--version', '--no-json', '--color', '--constructor', '--dri'),
    fc.string(),
  );
  let plain = 0;
  fc.assert(
    fc.property(name, fc.array(word, { maxLength: 5 }), (command, words) => {
      const read = readPlainArguments([command, ...words]);
      if (read === undefined) return;
      plain += 1;
      expect(parse([command, ...words])).toEqual(read);
    }),
    { numRuns: 3_000 },
  );
  expect(plain).toBeGreaterThan(100);
});

function parse(argv: readonly string[]): Invocation | string {
  try {
    return parseArguments(argv, 80);
  } catch (error) {
    if (error instanceof AlterationError) return error.message;
    throw error;
  }
}
