import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { choosePalette, createPalette } from '../../src/cli/palette.ts';

const terminal = { isTTY: true, columns: 80, write: () => undefined };
const pipe = { ...terminal, isTTY: false };

describe('colours', () => {
  it.each<[string, boolean | undefined, Record<string, string>, typeof terminal, boolean]>([
    ['are on for a terminal', undefined, {}, terminal, true],
    ['are off for a pipe', undefined, {}, pipe, false],
    ['are off for a terminal that has none', undefined, { TERM: 'dumb' }, terminal, false],
    ['are off with NO_COLOR', undefined, { NO_COLOR: '1' }, terminal, false],
    ['are on with an empty NO_COLOR', undefined, { NO_COLOR: '' }, terminal, true],
    ['are on in a pipe with FORCE_COLOR', undefined, { FORCE_COLOR: '1' }, pipe, true],
    ['are off with FORCE_COLOR=0', undefined, { FORCE_COLOR: '0' }, terminal, false],
    ['are on with FORCE_COLOR beside NO_COLOR', undefined, { FORCE_COLOR: '1', NO_COLOR: '1' }, pipe, true],
    ['are off with the flag, whatever the environment says', false, { FORCE_COLOR: '1' }, terminal, false],
    ['are on with the setting, whatever the environment says', true, { NO_COLOR: '1' }, pipe, true],
  ])('%s', (_, flag, env, stream, on) => {
    expect(choosePalette(flag, env, stream).good('done') !== 'done').toBe(on);
  });

  it.each(Object.entries(createPalette('on')))('%s leaves the text as it is', (_, paint) => {
    expect(paint('done')).not.toBe('done');
    expect(stripVTControlCharacters(paint('done'))).toBe('done');
  });

  it.each(Object.entries(createPalette('off')))('%s adds nothing when they are off', (_, paint) => {
    expect(paint('done')).toBe('done');
  });
});
