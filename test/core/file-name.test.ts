import { describe, expect, it } from 'vitest';
import { parseFileName } from '../../src/core/file-name.ts';

describe('the name of an alteration', () => {
  it.each([
    ['1.2.3-1674032095-add-users.ts', { part: 'whole', format: 'module' }],
    ['1.2.3-1674032095-add-users.mts', { part: 'whole', format: 'module' }],
    ['1.2.3-1674032095-add-users.js', { part: 'whole', format: 'module' }],
    ['1.2.3-1674032095-add-users.mjs', { part: 'whole', format: 'module' }],
    ['1.2.3-1674032095-add-users.sql', { part: 'whole', format: 'sql' }],
    ['1.2.3-1674032095-add-users.up.sql', { part: 'up', format: 'sql' }],
    ['1.2.3-1674032095-add-users.down.sql', { part: 'down', format: 'sql' }],
  ])('%s tells what kind of file it is', (file, { part, format }) => {
    expect(parseFileName(file)).toEqual({
      kind: 'alteration',
      part,
      alteration: {
        id: '1674032095',
        version: '1.2.3',
        seconds: 1_674_032_095,
        suffix: 0,
        name: 'add-users',
        file,
        format,
      },
    });
  });

  it.each([
    ['1.0.0_beta.10-1-a.ts', '1.0.0-beta.10'],
    ['1.0.0_beta_x.1-1-a.ts', '1.0.0-beta-x.1'],
    ['0.0.1-1-a.ts', '0.0.1'],
    ['10.20.30-1-a.ts', '10.20.30'],
    ['next-1-a.ts', 'next'],
  ])('%s has the version %s', (file, version) => {
    expect(parseFileName(file)).toMatchObject({ alteration: { version } });
  });

  it.each([
    ['1.0.0-0-a.ts', { id: '0', seconds: 0, suffix: 0 }],
    ['1.0.0-9999999999-a.ts', { id: '9999999999', seconds: 9_999_999_999, suffix: 0 }],
    ['1.0.0-1674032095.3-a.ts', { id: '1674032095.3', seconds: 1_674_032_095, suffix: 3 }],
    ['1.0.0-1674032095.10-a.ts', { id: '1674032095.10', seconds: 1_674_032_095, suffix: 10 }],
    ['1.0.0-1674032095.010-a.ts', { id: '1674032095.10', seconds: 1_674_032_095, suffix: 10 }],
    ['1.0.0-1674032095.0-a.ts', { id: '1674032095', seconds: 1_674_032_095, suffix: 0 }],
    ['1.0.0-0001-a.ts', { id: '1', seconds: 1, suffix: 0 }],
  ])('%s has a timestamp in canonical form', (file, timestamp) => {
    expect(parseFileName(file)).toMatchObject({ alteration: timestamp });
  });

  it.each([
    ['1.0.0-1-a.ts', 'a'],
    ['1.0.0-1-2-factors.ts', '2-factors'],
    ['1.0.0-1674032095-1674032096.ts', '1674032096'],
    ['next-1-next-step.sql', 'next-step'],
  ])('%s has the name %s', (file, name) => {
    expect(parseFileName(file)).toMatchObject({ alteration: { name } });
  });
});

describe('a file that is no alteration and no error', () => {
  it.each([
    'README.md',
    'index.ts',
    'utils.ts',
    'utils',
    '.gitkeep',
    '.DS_Store',
    'next.ts',
    'next_steps.sql',
    'nextjs-1-a.ts',
    'vitest.config.ts',
    'schema.sql',
    '1.0-notes.md',
    '2024.txt',
    '1.0.0-1-a.d.ts',
    '1.0.0-1-a.d.mts',
    '1.0.0-1-a.d.cts',
    '1.0.0-1-a.js.map',
    '1.0.0-1-a.d.ts.map',
  ])('%s', (file) => {
    expect(parseFileName(file)).toEqual({ kind: 'other' });
  });
});

describe('a name that looks like an alteration and is none', () => {
  const version =
    'where a version belongs; expected semver with the "-" of a prerelease written "_" (1.0.0_beta.10), or "next"';
  const timestamp =
    'expected unix seconds of at most 10 digits, optionally with a numeric suffix (1674032095.3)';
  const name = 'expected lower-case letters and digits in words joined by "-"';
  const extension =
    'has an extension that no alteration has; expected <version>-<timestamp>-<name>.ts, .mts, .js, .mjs, .sql, or .up.sql with .down.sql';

  it.each([
    ['v1.0.0-1-a.ts', 'has "v1.0.0" where a version belongs; file names carry no leading "v"'],
    ['V1.0.0-1-a.sql', 'has "V1.0.0" where a version belongs; file names carry no leading "v"'],
    ['1.0-1-a.ts', `has "1.0" ${version}`],
    ['1-1-a.ts', `has "1" ${version}`],
    ['01.0.0-1-a.ts', `has "01.0.0" ${version}`],
    ['1.0.0.0-1-a.ts', `has "1.0.0.0" ${version}`],
    ['1.0.0_beta..1-1-a.ts', `has "1.0.0_beta..1" ${version}`],
    ['Next-1-a.ts', `has "Next" ${version}`],
    ['1663923211-add.ts', `has "1663923211" ${version}`],
    ['2fa.ts', `has "2fa" ${version}`],
    [
      '1.0.0+build.5-1-a.ts',
      'has "1.0.0+build.5" where a version belongs; build metadata ("+") has no place in a file name',
    ],
    ['1.0.0-add-users.ts', `has "add" where a timestamp belongs; ${timestamp}`],
    ['next-add-users.ts', `has "add" where a timestamp belongs; ${timestamp}`],
    ['1.0.0-16740320951-a.ts', `has "16740320951" where a timestamp belongs; ${timestamp}`],
    ['1.0.0-1674032095123-a.ts', `has "1674032095123" where a timestamp belongs; ${timestamp}`],
    ['1.0.0-1.x-a.ts', `has "1.x" where a timestamp belongs; ${timestamp}`],
    ['1.0.0-1.-a.ts', `has "1." where a timestamp belongs; ${timestamp}`],
    ['1.0.0-.1-a.ts', `has ".1" where a timestamp belongs; ${timestamp}`],
    ['1.0.0-1.2.3-a.ts', `has "1.2.3" where a timestamp belongs; ${timestamp}`],
    ['1.0.0-1.1234567890-a.ts', `has "1.1234567890" where a timestamp belongs; ${timestamp}`],
    ['1.0.0--1-a.ts', `has no timestamp after the version; ${timestamp}`],
    ['1.0.0.sql', `has no timestamp after the version; ${timestamp}`],
    ['next-.ts', `has no timestamp after the version; ${timestamp}`],
    [
      '1.0.0-beta.10-1674032095-a.ts',
      'has a prerelease written with "-"; expected "_": 1.0.0_beta.10-1674032095',
    ],
    ['1.0.0-1.ts', `has no name after the timestamp; ${name}`],
    ['1.0.0-1-.ts', `has no name after the timestamp; ${name}`],
    ['1.0.0-1-AddUsers.ts', `has the name "AddUsers"; ${name}`],
    ['1.0.0-1-add_users.ts', `has the name "add_users"; ${name}`],
    ['1.0.0-1-add--users.ts', `has the name "add--users"; ${name}`],
    ['1.0.0-1-add-users-.ts', `has the name "add-users-"; ${name}`],
    ['1.0.0-1-añadir.ts', `has the name "añadir"; ${name}`],
    ['1.0.0-1-add users.ts', `has the name "add users"; ${name}`],
    ['1.0.0-1-a.test.ts', `has the name "a.test"; ${name}`],
    ['1.0.0-1-a.down.ts', `has the name "a.down"; ${name}`],
    ['1.0.0-1-a.txt', extension],
    ['1.0.0-1-a.cjs', extension],
    ['1.0.0-1-a.SQL', extension],
    ['1.0.0-1-a.ts~', extension],
    ['1.0.0-1-a', extension],
    ['next-steps.md', extension],
  ])('%s', (file, reason) => {
    expect(parseFileName(file)).toEqual({ kind: 'malformed', reason });
  });
});
