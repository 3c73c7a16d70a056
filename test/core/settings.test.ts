import { describe, expect, it } from 'vitest';
import {
  type GivenValue,
  parseSettings,
  type SettingName,
  settingDefinitions,
  variablesOf,
} from '../../src/cli/settings.ts';
import { suggest } from '../../src/cli/suggest.ts';
import { ConfigurationError } from '../../src/core/errors.ts';
import { refusalOf } from './refusal-of.ts';

describe('a setting', () => {
  it('has its default when nothing is given', () => {
    expect(parseSettings(new Map())).toEqual({
      dbUrl: undefined,
      dir: 'alterations',
      historySchema: 'public',
      historyTable: 'alteration_history',
      lockWait: 300_000,
      lockTimeout: 3_000,
      lockDeadline: 300_000,
      grace: 10_000,
      connectWait: 30_000,
      keepalive: 25_000,
      pooler: 'auto',
      directUrl: undefined,
      strictOrder: false,
      allowEdited: false,
      atomic: false,
      allowLower: false,
      dryRun: false,
      pending: false,
      wait: 0,
      ci: false,
      sql: false,
      sqlPair: false,
      yes: false,
      json: false,
      output: 'auto',
      logLevel: 'info',
      logFormat: undefined,
      color: undefined,
      envFile: undefined,
      config: undefined,
    });
  });

  it.each<[SettingName, unknown, unknown]>([
    ['dbUrl', 'postgres://db/app', 'postgres://db/app'],
    ['dir', 'db/alterations', 'db/alterations'],
    ['historySchema', 'ops', 'ops'],
    ['historyTable', `${'t'.repeat(61)}é`, `${'t'.repeat(61)}é`],
    ['lockWait', '1m30s', 90_000],
    ['lockWait', '0', 0],
    ['lockTimeout', '500ms', 500],
    ['lockTimeout', '596h', 2_145_600_000],
    ['keepalive', '3s', 3_000],
    ['keepalive', '0', 0],
    ['lockDeadline', '0', 0],
    ['grace', '1m', 60_000],
    ['pooler', 'transaction', 'transaction'],
    ['directUrl', 'postgres://db/app', 'postgres://db/app'],
    ['wait', '500ms', 500],
    ['logLevel', 'silent', 'silent'],
    ['output', 'github', 'github'],
    ['logFormat', 'pretty', 'pretty'],
    ['envFile', 'prod.env', 'prod.env'],
    ['color', false, false],
    ['color', 'true', true],
    ['json', true, true],
    ...['1', 'true', 'TRUE', 'yes', 'on'].map((text): [SettingName, string, boolean] => ['yes', text, true]),
    ...['0', 'false', 'No', 'off', ''].map((text): [SettingName, string, boolean] => ['yes', text, false]),
  ])('%s given as %j is %j', (name, value, parsed) => {
    expect(parseSettings(given({ [name]: value }))[name]).toBe(parsed);
  });

  it.each<[SettingName, unknown, string]>([
    ['dbUrl', '', 'expected a text that is not empty'],
    ['dir', 7, 'expected a text'],
    ['historySchema', '', 'expected a text that is not empty'],
    ['historyTable', `${'t'.repeat(62)}é`, 'PostgreSQL cuts names at 63 bytes'],
    ['grace', '1000h', '"1000h" is too long; at most 596h'],
    ['keepalive', '1ms', 'expected 3s or more, or 0'],
    ['lockWait', '5', '"5" is not a duration; expected one with its unit, such as 500ms, 5s or 2m'],
    ['lockWait', '', '"" is not a duration; expected one with its unit, such as 500ms, 5s or 2m'],
    ['lockWait', 5_000, 'expected a duration such as 500ms, 5s or 2m'],
    ['wait', '1 minute', '"1 minute" is not a duration; expected one with its unit, such as 500ms, 5s or 2m'],
    ['strictOrder', 'maybe', '"maybe" is neither true nor false'],
    ['strictOrder', 1, 'expected true or false'],
    ['strictOrder', null, 'expected true or false'],
    ['color', 'always', '"always" is neither true nor false'],
    ['logLevel', 'loud', '"loud" is none of debug, info, warn, error, silent'],
    ['output', 'jenkins', '"jenkins" is none of auto, plain, github, gitlab'],
    ['logFormat', 'xml', '"xml" is none of pretty, json'],
    ['logFormat', 3, '"3" is none of pretty, json'],
  ])('%s cannot be %j', async (name, value, reason) => {
    const refusal = await refusalOf(ConfigurationError, () => parseSettings(given({ [name]: value })));

    expect(refusal).toMatchObject({ message: `${name} as given: ${reason}.`, problems: [] });
  });

  it('is told with all others that are wrong, each with its source', async () => {
    const wrong = new Map<string, GivenValue>([
      ['lockWait', { value: '5', source: '--lock-wait' }],
      ['strictOrder', { value: 'maybe', source: 'ALTERATION_STRICT_ORDER' }],
      ['logLevel', { value: 'loud', source: 'logLevel in alteration.config.ts' }],
    ]);

    const refusal = await refusalOf(ConfigurationError, () => parseSettings(wrong));

    expect(refusal.message).toBe('3 settings are wrong.');
    expect(refusal.problems.map(({ message }) => message)).toEqual([
      '--lock-wait: "5" is not a duration; expected one with its unit, such as 500ms, 5s or 2m.',
      'ALTERATION_STRICT_ORDER: "maybe" is neither true nor false.',
      'logLevel in alteration.config.ts: "loud" is none of debug, info, warn, error, silent.',
    ]);
  });

  it('may be a variable of its own', () => {
    expect(variablesOf('strictOrder')).toEqual(['ALTERATION_STRICT_ORDER']);
    expect(variablesOf('dbUrl')).toEqual(['ALTERATION_DB_URL', 'DB_URL', 'DATABASE_URL']);
  });

  it.each(Object.entries(settingDefinitions))('%s has the flag that its name says', (name, { flag }) => {
    const words = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

    expect([`--${words}`, `--no-${words}`]).toContain(flag.split(' ')[0]);
  });

  it.each(
    Object.entries(settingDefinitions).flatMap(([name, definition]) =>
      'shownDefault' in definition && !definition.shownDefault.includes(' ')
        ? [[name, definition.shownDefault] as const]
        : [],
    ),
  )('%s has the default that help shows: %s', (name, shown) => {
    const settings: Readonly<Record<string, unknown>> = parseSettings(new Map());
    const parsed: Readonly<Record<string, unknown>> = parseSettings(given({ [name]: shown }));

    expect(settings[name]).toBe(parsed[name]);
  });
});

describe('a suggestion', () => {
  it.each<[string, string | undefined]>([
    ['lates', 'latest'],
    ['LATEST', 'latest'],
    ['latset', 'latest'],
    ['nxt', 'next'],
    ['nx', undefined],
    ['deployment', undefined],
    ['', undefined],
  ])('for "%s" is %s', (word, near) => {
    expect(suggest(word, ['latest', 'next'])).toBe(near);
  });

  it('is the nearest of several', () => {
    expect(suggest('lists', ['latest', 'list', 'lisp'])).toBe('list');
  });

  it('is none where there is nothing to choose from', () => {
    expect(suggest('list', [])).toBeUndefined();
  });
});

function given(values: Readonly<Record<string, unknown>>): ReadonlyMap<string, GivenValue> {
  return new Map(
    Object.entries(values).map(([name, value]) => [name, { value, source: `${name} as given` }]),
  );
}
