import { boundNames, childOf, childrenOf, hasFlag, isNode, type SyntaxNode, textOf } from './node.ts';

interface Scope {
  readonly parent: Scope | undefined;
  /** Whether `var` stops here. */
  readonly holdsVar: boolean;
  readonly names: Set<string>;
}

interface Reference {
  readonly identifier: SyntaxNode;
  readonly scope: Scope;
}

export interface References {
  /** Names that the nodes declare outside of any function or block; imports are not counted. */
  readonly declared: ReadonlySet<string>;
  /** Identifiers that no function, class or block within the nodes declares. */
  readonly free: ReadonlySet<SyntaxNode>;
}

/** Who refers to what in an erased tree: what tells an import that is used from one that is not. */
export function findReferences(nodes: readonly SyntaxNode[]): References {
  const outermost = scopeIn(undefined, true);
  const references: Reference[] = [];
  walk(nodes, outermost, references);
  // Resolved at the end: a use may come before the declaration that hides the outer name.
  const free = references.filter(({ identifier, scope }) => !isHidden(textOf(identifier, 'name'), scope));
  return { declared: outermost.names, free: new Set(free.map(({ identifier }) => identifier)) };
}

function scopeIn(parent: Scope | undefined, holdsVar = false, names: readonly string[] = []): Scope {
  return { parent, holdsVar, names: new Set(names) };
}

function isHidden(name: string, scope: Scope): boolean {
  if (scope.parent === undefined) return false;
  return scope.names.has(name) || isHidden(name, scope.parent);
}

function walk(value: unknown, scope: Scope, found: Reference[]): void {
  if (Array.isArray(value)) {
    for (const item of value) walk(item, scope, found);
  } else if (isNode(value)) {
    const visit = visitors.get(value.type) ?? walkChildren;
    visit(value, scope, found);
  }
}

function walkChildren(node: SyntaxNode, scope: Scope, found: Reference[]): void {
  for (const value of Object.values(node)) walk(value, scope, found);
}

type Visit = (node: SyntaxNode, scope: Scope, found: Reference[]) => void;

const visitors: ReadonlyMap<string, Visit> = new Map<string, Visit>([
  ['Identifier', (identifier, scope, found) => found.push({ identifier, scope })],
  ['ImportDeclaration', () => {}],
  ['VariableDeclaration', walkVariables],
  ['FunctionDeclaration', walkFunction],
  ['FunctionExpression', walkFunction],
  ['ArrowFunctionExpression', walkFunction],
  ['ObjectMethod', walkFunction],
  ['ClassMethod', walkFunction],
  ['ClassPrivateMethod', walkFunction],
  ['ClassDeclaration', walkClass],
  ['ClassExpression', walkClass],
  ['BlockStatement', (node, scope, found) => walkChildren(node, scopeIn(scope), found)],
  ['ForStatement', (node, scope, found) => walkChildren(node, scopeIn(scope), found)],
  ['ForInStatement', (node, scope, found) => walkChildren(node, scopeIn(scope), found)],
  ['ForOfStatement', (node, scope, found) => walkChildren(node, scopeIn(scope), found)],
  ['SwitchStatement', (node, scope, found) => walkChildren(node, scopeIn(scope), found)],
  ['StaticBlock', (node, scope, found) => walkChildren(node, scopeIn(scope, true), found)],
  ['CatchClause', walkCatch],
  ['TSModuleDeclaration', walkNamespace],
  ['TSImportEqualsDeclaration', walkImportEquals],
]);

function walkVariables(node: SyntaxNode, scope: Scope, found: Reference[]): void {
  const target = textOf(node, 'kind') === 'var' ? varScope(scope) : scope;
  for (const declarator of childrenOf(node, 'declarations')) {
    bind(childOf(declarator, 'id'), target, scope, found);
    walk(declarator['init'], scope, found);
  }
}

function varScope(scope: Scope): Scope {
  return scope.holdsVar || scope.parent === undefined ? scope : varScope(scope.parent);
}

/** Declares the names of a pattern in `target`; its defaults and computed keys are uses, made in `scope`. */
function bind(pattern: SyntaxNode | undefined, target: Scope, scope: Scope, found: Reference[]): void {
  for (const name of boundNames(pattern)) target.names.add(name);
  walkPattern(pattern, scope, found);
}

function walkPattern(pattern: SyntaxNode | undefined, scope: Scope, found: Reference[]): void {
  if (pattern === undefined) return;
  walk(pattern['decorators'], scope, found);
  if (hasFlag(pattern, 'computed')) walk(pattern['key'], scope, found);
  if (pattern.type === 'AssignmentPattern') walk(pattern['right'], scope, found);
  const parts = [...childrenOf(pattern, 'properties'), ...childrenOf(pattern, 'elements')];
  const inner = [childOf(pattern, 'value'), childOf(pattern, 'left'), childOf(pattern, 'argument')];
  for (const part of [...parts, ...inner]) walkPattern(part, scope, found);
}

function walkFunction(node: SyntaxNode, scope: Scope, found: Reference[]): void {
  const ownName = boundNames(childOf(node, 'id'));
  if (node.type === 'FunctionDeclaration') for (const name of ownName) scope.names.add(name);
  walk([node['key'], node['decorators']], scope, found);
  // Parameters have a scope of their own: a `var` of the body does not hide a name from their defaults.
  const parameters = scopeIn(node.type === 'FunctionExpression' ? scopeIn(scope, false, ownName) : scope);
  for (const parameter of childrenOf(node, 'params')) bind(parameter, parameters, parameters, found);
  const body = childOf(node, 'body');
  if (body?.type === 'BlockStatement') walkChildren(body, scopeIn(parameters, true), found);
  else walk(body, parameters, found);
}

function walkClass(node: SyntaxNode, scope: Scope, found: Reference[]): void {
  const ownName = boundNames(childOf(node, 'id'));
  if (node.type === 'ClassDeclaration') for (const name of ownName) scope.names.add(name);
  const inner = scopeIn(scope, false, ownName);
  walk([node['decorators'], node['superClass'], node['body']], inner, found);
}

function walkCatch(node: SyntaxNode, scope: Scope, found: Reference[]): void {
  const inner = scopeIn(scope);
  bind(childOf(node, 'param'), inner, inner, found);
  walk(node['body'], inner, found);
}

function walkNamespace(node: SyntaxNode, scope: Scope, found: Reference[]): void {
  scope.names.add(textOf(node, 'name').split('.')[0] ?? '');
  walk(node['body'], scopeIn(scope, true), found);
}

function walkImportEquals(node: SyntaxNode, scope: Scope, found: Reference[]): void {
  for (const name of boundNames(childOf(node, 'id'))) scope.names.add(name);
  walk(node['moduleReference'], scope, found);
}
