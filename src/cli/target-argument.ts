import { InvalidTargetError } from '../core/errors.ts';
import { parseTarget } from '../core/target.ts';
import { hidePasswords } from './hide-passwords.ts';

/** Refuses a wrong target before anything is started for it, with the word that was meant. Throws an InvalidTargetError. */
export async function checkTargetArgument(text: string): Promise<void> {
  try {
    parseTarget(text);
  } catch (error) {
    if (!(error instanceof InvalidTargetError)) throw error;
    const { suggest } = await import('./suggest.ts');
    const near = suggest(text, ['latest', 'next']);
    throw new InvalidTargetError(hidePasswords(text), near ? `Did you mean ${near}?` : (error.hint ?? ''));
  }
}
