import { describe, expect, it } from 'vitest';
import { exitCodeOf, exitCodes } from '../../src/cli/exit-code.ts';
import * as errors from '../../src/core/errors.ts';

/** What a Job's podFailurePolicy is written against. */
const table: Readonly<Record<string, number>> = {
  UsageError: 2,
  ConfigurationError: 2,
  InvalidTargetError: 2,
  FolderError: 2,
  RollbackRefusedError: 2,
  BaselineRefusedError: 2,
  DatabaseRefusedError: 2,
  UnusableAlterationError: 4,
  AlterationFailedError: 4,
  AlterationHalfDoneError: 5,
  HistoryBlockedError: 4,
  LockHeldError: 6,
  OvertakenError: 6,
  SessionLostError: 7,
  EditedError: 8,
  StrictOrderError: 8,
  HistoryError: 8,
  DatabaseUnreachableError: 9,
  StoppedError: 143,
};

const classes = Object.entries(errors).filter(([name]) => name !== 'AlterationError');

describe('the exit code', () => {
  it('is set for every error that there is', () => {
    expect(classes.map(([name]) => name).sort()).toEqual(Object.keys(table).sort());
  });

  it.each(classes)('of %s is its own', (name, errorClass) => {
    expect(exitCodeOf(Reflect.construct(errorClass, ['It failed.', {}]))).toBe(table[name]);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['a request to stop', 143],
  ])('of a stop by %s is %i', (signal, exitCode) => {
    expect(exitCodeOf(new errors.StoppedError(signal))).toBe(exitCode);
  });

  it.each([new TypeError('x is not a function'), 'a text', undefined, null, { code: 'usage' }])(
    'of what was not foreseen is that of a defect: %s',
    (thrown) => {
      expect(exitCodeOf(thrown)).toBe(1);
    },
  );

  it('has one number for each cause', () => {
    const numbers = Object.values(exitCodes);

    expect(new Set(numbers).size).toBe(numbers.length);
  });
});

describe('an error', () => {
  it.each(classes)(
    'of the class %s has its own code, its name, and no problems unless told',
    (name, errorClass) => {
      const error: unknown = Reflect.construct(errorClass, ['It failed.', {}]);

      expect(error).toMatchObject({ name, code: expect.stringMatching(/^[a-z]+(-[a-z]+)*$/), problems: [] });
    },
  );

  it('has a code that no other class has', () => {
    const codes = classes.map(([, errorClass]) => Reflect.construct(errorClass, ['It failed.', {}]).code);

    expect(new Set(codes).size).toBe(classes.length);
  });
});
