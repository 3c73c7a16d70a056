import { isNode, type SyntaxNode } from './node.ts';

/**
 * The one text of an erased tree. Keys are sorted, and what is absent, empty or false is left out,
 * so that a parser which learns a new optional key writes the same text.
 * `link` says what a module specifier is written as.
 */
export function serialise(value: unknown, link: (specifier: string) => unknown): string {
  if (Array.isArray(value)) return `[${value.map((item) => serialise(item, link)).join(',')}]`;
  if (!isNode(value)) return JSON.stringify(value) ?? 'null';
  if (value.type === 'ModuleSpecifier') return JSON.stringify(['module', link(specifierText(value))]);
  const keys = Object.keys(value).filter((key) => !isAbsent(value[key]));
  return `{${keys
    .sort()
    .map((key) => `"${key}":${serialise(value[key], link)}`)
    .join(',')}}`;
}

function isAbsent(value: unknown): boolean {
  return (
    value === undefined || value === null || value === false || (Array.isArray(value) && value.length === 0)
  );
}

/** The module specifiers of a tree, in the order in which they stand. */
export function specifiersOf(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(specifiersOf);
  if (!isNode(value)) return [];
  return value.type === 'ModuleSpecifier'
    ? [specifierText(value)]
    : Object.values(value).flatMap(specifiersOf);
}

function specifierText(node: SyntaxNode): string {
  return String(node['value']);
}
