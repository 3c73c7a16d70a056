import { assign, identifier, keyNode, member, statement } from './build.ts';
import { boundNames, childOf, childrenOf, type SyntaxNode, textOf } from './node.ts';

/** The names of `constructor(private a, readonly b = 1)`. Takes the class with its types. */
export function parameterProperties(classNode: SyntaxNode): readonly string[] {
  return childrenOf(childOf(classNode, 'body') ?? classNode, 'body')
    .flatMap((each) => childrenOf(each, 'params'))
    .flatMap((parameter) => boundNames(childOf(parameter, 'parameter')));
}

/** Makes parameter properties what tsc makes of them: fields before all others, set by the constructor. */
export function lowerParameterProperties(
  members: readonly SyntaxNode[],
  names: readonly string[],
): readonly SyntaxNode[] {
  const fields = names.map((name) => ({ type: 'ClassProperty', key: keyNode(name) }));
  const settings = names.map((name) =>
    statement(assign(member({ type: 'ThisExpression' }, name), identifier(name))),
  );
  return [...fields, ...members.map((each) => (isConstructor(each) ? withSettings(each, settings) : each))];
}

function isConstructor(node: SyntaxNode): boolean {
  return node.type === 'ClassMethod' && textOf(node, 'kind') === 'constructor';
}

function withSettings(node: SyntaxNode, settings: readonly SyntaxNode[]): SyntaxNode {
  const body = childOf(node, 'body') ?? { type: 'BlockStatement' };
  const statements = childrenOf(body, 'body');
  const after = afterSuper(statements, settings) ?? [...settings, ...statements];
  return { ...node, body: { ...body, body: after } };
}

/** The statements with the settings after the call of `super`, which may stand in a `try`. */
function afterSuper(
  statements: readonly SyntaxNode[],
  settings: readonly SyntaxNode[],
): readonly SyntaxNode[] | undefined {
  for (const [index, each] of statements.entries()) {
    const replaced = isSuperCall(each) ? [each, ...settings] : inTry(each, settings);
    if (replaced) return statements.toSpliced(index, 1, ...replaced);
  }
  return undefined;
}

function inTry(node: SyntaxNode, settings: readonly SyntaxNode[]): readonly SyntaxNode[] | undefined {
  const block = node.type === 'TryStatement' ? childOf(node, 'block') : undefined;
  const body = block && afterSuper(childrenOf(block, 'body'), settings);
  return body && [{ ...node, block: { ...block, body } }];
}

function isSuperCall(node: SyntaxNode): boolean {
  const call = node.type === 'ExpressionStatement' ? childOf(node, 'expression') : undefined;
  return call?.type === 'CallExpression' && childOf(call, 'callee')?.type === 'Super';
}
