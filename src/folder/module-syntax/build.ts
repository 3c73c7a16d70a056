import type { Constant } from './constants.ts';
import type { SyntaxNode } from './node.ts';

// Nodes of the erased tree, for what TypeScript compiles to more than the same text without its types.

export function identifier(name: string): SyntaxNode {
  return { type: 'Identifier', name };
}

/** The name of a property, written bare or in quotes. */
export function keyNode(name: string): SyntaxNode {
  return { type: 'Key', name };
}

export function literal(value: string): SyntaxNode {
  return { type: 'StringLiteral', value };
}

/** What tsc writes for a value that it has worked out. */
export function constant(value: Constant): SyntaxNode {
  if (typeof value === 'string') return literal(value);
  if (Number.isNaN(value)) return identifier('NaN');
  if (value < 0) {
    return { type: 'UnaryExpression', operator: '-', prefix: true, argument: constant(-value) };
  }
  return value === Number.POSITIVE_INFINITY
    ? identifier('Infinity')
    : { type: 'NumericLiteral', value: String(value) };
}

export function assign(left: SyntaxNode, right: SyntaxNode): SyntaxNode {
  return { type: 'AssignmentExpression', operator: '=', left, right };
}

/** `object.name` */
export function member(object: SyntaxNode, name: string): SyntaxNode {
  return { type: 'MemberExpression', object, property: keyNode(name) };
}

/** `object[property]` */
export function element(object: SyntaxNode, property: SyntaxNode): SyntaxNode {
  return { type: 'MemberExpression', computed: true, object, property };
}

export function statement(expression: SyntaxNode): SyntaxNode {
  return { type: 'ExpressionStatement', expression };
}
