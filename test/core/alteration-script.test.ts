import { describe, expect, it } from 'vitest';
import { parseScript } from '../../src/folder/alteration-script.ts';

const up = async () => undefined;

describe('the lock timeout of a script', () => {
  it.each([
    ['10s', 10_000],
    ['500ms', 500],
    ['1m30s', 90_000],
    ['0', 0],
  ])('is %j, as a property of the default export or as a named export', (lockTimeout, lockTimeoutMs) => {
    const script = { up, lockTimeout };

    expect(parseScript(script, { default: script })).toEqual({ script, lockTimeoutMs });
    expect(parseScript({ up }, { default: { up }, lockTimeout })).toEqual({ script: { up }, lockTimeoutMs });
  });

  it('is the property where there is a named export too', () => {
    const script = { up, lockTimeout: '1s' };

    expect(parseScript(script, { default: script, lockTimeout: '2s' })).toMatchObject({
      lockTimeoutMs: 1_000,
    });
  });

  it('is a property that an instance has of its class', () => {
    class Script {
      up = up;
      get lockTimeout() {
        return '4s';
      }
    }

    expect(parseScript(new Script(), {})).toMatchObject({ lockTimeoutMs: 4_000 });
  });

  it('is the run’s where none is set', () => {
    expect(parseScript({ up }, { default: { up }, other: '10s' })).toEqual({ script: { up } });
    expect(parseScript({ up, lockTimeout: undefined }, {})).not.toHaveProperty('lockTimeoutMs');
  });

  it.each<[unknown, string]>([
    ['10', '"10"'],
    ['10 s', '"10 s"'],
    ['soon', '"soon"'],
    ['', '""'],
    ['-1s', '"-1s"'],
    ['10S', '"10S"'],
    [10, '10'],
    [0, '0'],
    [true, 'a boolean'],
    [['10s'], 'an array'],
    [{ ms: 10 }, 'an object'],
    [() => '10s', 'a function'],
  ])('cannot be %o', (lockTimeout, shown) => {
    const reason = `has "lockTimeout" that is ${shown}; expected a duration such as '10s'`;

    expect(parseScript({ up, lockTimeout }, {})).toEqual({ reason });
    expect(parseScript({ up }, { lockTimeout })).toEqual({ reason });
  });
});
