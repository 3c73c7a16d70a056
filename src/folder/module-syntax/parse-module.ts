import { type ParserOptions, parse } from '@babel/parser';
import { UnusableAlterationError } from '../../core/errors.ts';
import { placeAt } from '../excerpt.ts';
import { isNode, type SyntaxNode } from './node.ts';

/**
 * The syntax tree of a module. `file` is the name that errors give it, and its extension tells the language.
 * Throws an UnusableAlterationError with the place of a syntax error.
 */
export function parseModule(text: string, file: string): SyntaxNode {
  try {
    const program: unknown = parse(text, optionsFor(file)).program;
    if (isNode(program)) return program;
  } catch (error) {
    if (isSyntaxFailure(error)) throw unusable(error, text, file);
    throw error;
  }
  throw new TypeError('The parser returned no program.');
}

export function isTypeScript(file: string): boolean {
  return /\.[cm]?ts$/.test(file);
}

function optionsFor(file: string): ParserOptions {
  // These extensions may hold CommonJS, where `return` may stand at the top.
  const mayBeScript = /\.(js|cjs|cts)$/.test(file);
  return {
    sourceType: mayBeScript ? 'unambiguous' : 'module',
    allowReturnOutsideFunction: mayBeScript,
    allowAwaitOutsideFunction: true,
    // What an export names may be declared where this file does not show it.
    allowUndeclaredExports: true,
    attachComment: false,
    plugins: [...(isTypeScript(file) ? (['typescript'] as const) : []), ...syntaxOfLoaders],
  };
}

// Not yet JavaScript, but a loader may take it: such files have a checksum too.
const syntaxOfLoaders = ['decorators-legacy', 'decoratorAutoAccessors'] as const;

interface SyntaxFailure extends SyntaxError {
  /** UTF-16 code units from the start. */
  readonly pos: number;
}

function isSyntaxFailure(error: unknown): error is SyntaxFailure {
  return error instanceof SyntaxError && 'pos' in error && typeof error.pos === 'number';
}

function unusable(failure: SyntaxFailure, text: string, file: string): UnusableAlterationError {
  const language = isTypeScript(file) ? 'TypeScript' : 'JavaScript';
  const reason = failure.message.replace(/\.? \(\d+:\d+\)$/, '');
  const message = `"${file}" is not valid ${language}: ${reason}.`;
  return new UnusableAlterationError(message, {
    problems: [{ file, ...placeAt(text, failure.pos), message }],
    hint: 'Correct the file or, if it is applied, put back what was applied.',
    cause: failure,
  });
}
