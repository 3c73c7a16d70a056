import { InvalidTargetError } from '../core/errors.ts';
import { parseTarget } from '../core/target.ts';
import { hidePasswords } from './hide-passwords.ts';
import { suggest } from './settings.ts';

/** Refuses a wrong target before anything is started for it, with the word that was meant. Throws an InvalidTargetError. */
export function checkTargetArgument(text: string): void {
  try {
    parseTarget(text);
  } catch (error) {
    if (!(error instanceof InvalidTargetError)) throw error;
    const near = suggest(text, ['latest', 'next']);
    throw new InvalidTargetError(hidePasswords(text), near ? `Did you mean ${near}?` : (error.hint ?? ''));
  }
}
