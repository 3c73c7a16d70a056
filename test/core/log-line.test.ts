import fc from 'fast-check';
import pino from 'pino';
import { expect, test } from 'vitest';
import { logLineOf } from '../../src/cli/log-line.ts';

test('a log line is the one that pino writes', () => {
  let written = '';
  const logger = pino(
    {
      level: 'debug',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    {
      write: (line) => {
        written = line;
      },
    },
  );
  const key = fc.string().map((name) => `a ${name}`); // a word: none is a number, or one of the line's own
  const facts = fc.dictionary(key, fc.jsonValue(), { noNullPrototype: true });
  const level = fc.constantFrom('debug', 'info', 'warn', 'error');
  const text = fc.string({ unit: 'binary' });
  const withoutTime = (line: string) => line.replace(/"time":"[^"]*"/, '"time":""');

  fc.assert(
    fc.property(level, facts, text, (name, given, message) => {
      logger[name](given, message);

      expect(withoutTime(logLineOf(name, given, message))).toBe(withoutTime(written));
    }),
    { numRuns: 300 },
  );
});
