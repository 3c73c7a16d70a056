/** A node of a syntax tree: as the parser made it, or as we made it from that. */
export interface SyntaxNode {
  readonly type: string;
  readonly [key: string]: unknown;
}

export function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

export function childOf(node: SyntaxNode, key: string): SyntaxNode | undefined {
  const value = node[key];
  return isNode(value) ? value : undefined;
}

/** The nodes of a list; the holes of an array are left out. */
export function childrenOf(node: SyntaxNode, key: string): readonly SyntaxNode[] {
  const value = node[key];
  return Array.isArray(value) ? value.filter(isNode) : [];
}

/** The text under the key; empty when it is none. */
export function textOf(node: SyntaxNode | undefined, key: string): string {
  const value = node?.[key];
  return typeof value === 'string' ? value : '';
}

export function hasFlag(node: SyntaxNode, key: string): boolean {
  return node[key] === true;
}

/** What an identifier or a literal says where it is a name: `a`, `'a'`, `1`. */
export function nameOf(node: SyntaxNode | undefined): string {
  return node?.type === 'Identifier' ? textOf(node, 'name') : String(node?.['value']);
}

/** The names that a binding pattern declares. */
export function boundNames(pattern: SyntaxNode | undefined): readonly string[] {
  switch (pattern?.type) {
    case 'Identifier':
      return [textOf(pattern, 'name')];
    case 'ObjectPattern':
      return childrenOf(pattern, 'properties').flatMap(boundNames);
    case 'ObjectProperty':
      return boundNames(childOf(pattern, 'value'));
    case 'ArrayPattern':
      return childrenOf(pattern, 'elements').flatMap(boundNames);
    case 'AssignmentPattern':
      return boundNames(childOf(pattern, 'left'));
    case 'RestElement':
      return boundNames(childOf(pattern, 'argument'));
    default:
      return [];
  }
}
