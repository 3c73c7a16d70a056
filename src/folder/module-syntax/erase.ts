import { identifier, keyNode } from './build.ts';
import { cookedOf, hideNames, type Names, namesOfBlock, rawOf } from './constants.ts';
import { lowerEnum } from './enums.ts';
import { boundNames, childOf, childrenOf, hasFlag, isNode, nameOf, type SyntaxNode, textOf } from './node.ts';
import { lowerParameterProperties, parameterProperties } from './parameter-properties.ts';

interface Context {
  /** The source, for the one thing that the tree does not tell. */
  readonly text: string;
  readonly names: Names;
  /** Enums and namespaces that the block has already declared: a second one continues the first. */
  readonly declared: Set<string>;
  readonly isTop: boolean;
}

type Rule = (node: SyntaxNode, context: Context) => readonly SyntaxNode[];

/** The statements and directives of a module without its types. */
export function eraseProgram(program: SyntaxNode, text: string): SyntaxNode {
  const statements = childrenOf(program, 'body');
  const names = namesOfBlock(statements, undefined);
  const context = { text, names, declared: new Set<string>(), isTop: true };
  return { type: 'Program', directives: directivesOf(program), body: eraseList(statements, context) };
}

/** The keys that do not say what the code does: where it stands, how it was written, its types. */
const ignoredKeys: ReadonlySet<string> = new Set([
  ...['start', 'end', 'loc', 'range', 'extra', 'errors', 'comments', 'tokens', 'tail'],
  ...['leadingComments', 'trailingComments', 'innerComments', 'sourceType', 'interpreter'],
  ...['typeAnnotation', 'returnType', 'typeParameters', 'typeArguments', 'predicate', 'implements'],
  ...['superTypeParameters', 'superTypeArguments', 'importKind', 'exportKind'],
  ...['accessibility', 'readonly', 'override', 'optional', 'definite', 'declare', 'abstract'],
  // Told by `kind` and by the equality of key and value.
  ...['method', 'shorthand'],
]);

const typesOnly: ReadonlySet<string> = new Set([
  'TSInterfaceDeclaration',
  'TSTypeAliasDeclaration',
  'TSDeclareFunction',
  'TSDeclareMethod',
  'TSIndexSignature',
  'TSNamespaceExportDeclaration',
]);

const wrappers: ReadonlySet<string> = new Set([
  'TSAsExpression',
  'TSSatisfiesExpression',
  'TSNonNullExpression',
  'TSTypeAssertion',
  'TSInstantiationExpression',
]);

const fields: ReadonlySet<string> = new Set([
  'ClassProperty',
  'ClassPrivateProperty',
  'ClassAccessorProperty',
]);

/** What is left of a node: nothing of a type, several statements of an enum. */
function erase(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  if (typesOnly.has(node.type) || hasFlag(node, 'declare')) return [];
  if (fields.has(node.type) && hasFlag(node, 'abstract')) return [];
  const wrapped = wrappers.has(node.type) ? childOf(node, 'expression') : undefined;
  if (wrapped) return erase(wrapped, context);
  const rule = rules.get(node.type);
  return rule ? rule(node, context) : [copy(node, context)];
}

function eraseOne(node: SyntaxNode, context: Context): SyntaxNode {
  return erase(node, context)[0] ?? { type: 'EmptyStatement' };
}

function eraseList(nodes: readonly unknown[], context: Context): readonly SyntaxNode[] {
  return nodes
    .filter(isNode)
    .flatMap((node) => erase(node, context))
    .filter((node) => node.type !== 'EmptyStatement');
}

/** The node with its children erased; `own` replaces some of them. */
function copy(node: SyntaxNode, context: Context, own: Readonly<Record<string, unknown>> = {}): SyntaxNode {
  const copied: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(node)) {
    if (!ignoredKeys.has(key) && !(key in own)) copied[key] = eraseValue(value, context);
  }
  return { ...copied, ...own, type: node.type };
}

function eraseValue(value: unknown, context: Context): unknown {
  if (isNode(value)) return eraseOne(value, context);
  if (!Array.isArray(value)) return value;
  // The holes of an array stay.
  return value.flatMap<unknown>((item) => (isNode(item) ? eraseList([item], context) : [item]));
}

const rules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ['NumericLiteral', eraseNumber],
  ['BigIntLiteral', eraseNumber],
  ['TemplateLiteral', (node, context) => [eraseTemplate(node, context, cookedOf)]],
  ['TaggedTemplateExpression', eraseTaggedTemplate],
  ['PrivateName', (node) => [{ type: node.type, name: nameOf(childOf(node, 'id')) }]],
  ['MetaProperty', eraseMetaProperty],
  ['MemberExpression', eraseMember],
  ['OptionalMemberExpression', eraseMember],
  ['OptionalCallExpression', (node, context) => [copy(node, context, { optional: node['optional'] })]],
  ['CallExpression', eraseCall],
  ['ImportExpression', eraseDynamicImport],
  ['ObjectExpression', eraseObject],
  ['ObjectProperty', eraseKeyed],
  ['ClassProperty', eraseKeyed],
  ['ClassAccessorProperty', eraseKeyed],
  ['ImportAttribute', eraseKeyed],
  ['FunctionDeclaration', eraseFunction],
  ['FunctionExpression', eraseFunction],
  ['ArrowFunctionExpression', eraseFunction],
  ['ObjectMethod', eraseFunction],
  ['ClassMethod', eraseFunction],
  ['ClassPrivateMethod', eraseFunction],
  ['ClassDeclaration', eraseClass],
  ['ClassExpression', eraseClass],
  ['BlockStatement', eraseBlock],
  ['StaticBlock', eraseBlock],
  ['TSModuleBlock', eraseBlock],
  ['SwitchStatement', eraseSwitch],
  ['ForStatement', eraseLoop],
  ['ForInStatement', eraseLoop],
  ['ForOfStatement', eraseLoop],
  ['CatchClause', eraseCatch],
  ['LabeledStatement', eraseLabel],
  ['BreakStatement', eraseLabel],
  ['ContinueStatement', eraseLabel],
  ['ImportDeclaration', eraseImport],
  ['ExportNamedDeclaration', eraseNamedExport],
  ['ExportAllDeclaration', eraseExportAll],
  ['ExportDefaultDeclaration', eraseDefaultExport],
  ['TSEnumDeclaration', eraseEnum],
  ['TSModuleDeclaration', eraseNamespace],
  ['TSImportEqualsDeclaration', eraseImportEquals],
  ['TSExternalModuleReference', eraseModuleReference],
  ['TSQualifiedName', eraseQualifiedName],
]);

function eraseNumber(node: SyntaxNode): readonly SyntaxNode[] {
  return [{ type: node.type, value: String(node['value']) }];
}

function eraseTemplate(node: SyntaxNode, context: Context, read: (quasi: SyntaxNode) => string): SyntaxNode {
  return copy(node, context, { quasis: childrenOf(node, 'quasis').map(read) });
}

/** A tag can see how its text was written. */
function eraseTaggedTemplate(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const quasi = childOf(node, 'quasi');
  return [copy(node, context, { quasi: quasi && eraseTemplate(quasi, context, rawOf) })];
}

function eraseMetaProperty(node: SyntaxNode): readonly SyntaxNode[] {
  const [meta, property] = [nameOf(childOf(node, 'meta')), nameOf(childOf(node, 'property'))];
  return [{ type: node.type, name: `${meta}.${property}` }];
}

function eraseMember(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const property = childOf(node, 'property');
  const isNamed = !hasFlag(node, 'computed') && property?.type === 'Identifier';
  const own = isNamed ? { property: keyNode(nameOf(property)) } : {};
  return [copy(node, context, { ...own, optional: node['optional'] })];
}

function eraseCall(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const [callee, [source, ...others]] = [childOf(node, 'callee'), childrenOf(node, 'arguments')];
  const isRequire = callee?.type === 'Identifier' && nameOf(callee) === 'require';
  if (!isRequire || source?.type !== 'StringLiteral') return [copy(node, context)];
  return [copy(node, context, { arguments: [specifierNode(source), ...eraseList(others, context)] })];
}

function eraseDynamicImport(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const source = childOf(node, 'source');
  const text = source && literalText(source);
  return [copy(node, context, text === undefined ? {} : { source: specifierOf(text) })];
}

function literalText(node: SyntaxNode): string | undefined {
  if (node.type === 'StringLiteral') return textOf(node, 'value');
  const isPlain = node.type === 'TemplateLiteral' && childrenOf(node, 'expressions').length === 0;
  return isPlain ? childrenOf(node, 'quasis').map(cookedOf).join('') : undefined;
}

function specifierNode(source: SyntaxNode | undefined): SyntaxNode {
  return specifierOf(textOf(source, 'value'));
}

function specifierOf(value: string): SyntaxNode {
  return { type: 'ModuleSpecifier', value };
}

function eraseObject(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const properties = childrenOf(node, 'properties').map((property) => {
    // `{ __proto__ }` makes a property, `{ __proto__: __proto__ }` sets the prototype.
    const isOwnProto = hasFlag(property, 'shorthand') && nameOf(childOf(property, 'key')) === '__proto__';
    const key = { type: 'StringLiteral', value: '__proto__' };
    return isOwnProto ? copy(property, context, { computed: true, key }) : eraseOne(property, context);
  });
  return [copy(node, context, { properties })];
}

function eraseKeyed(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  return [copy(node, context, ownKey(node))];
}

/** `a`, `'a'` and, for numbers, `1` and `'1'` are the same key. */
function ownKey(node: SyntaxNode): Readonly<Record<string, unknown>> {
  const key = childOf(node, 'key');
  const isNamed = key !== undefined && key.type !== 'PrivateName' && !hasFlag(node, 'computed');
  return isNamed ? { key: keyNode(nameOf(key)) } : {};
}

function eraseFunction(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const parameters = childrenOf(node, 'params')
    .filter((each) => nameOf(each) !== 'this')
    .map(plainParameter);
  const inner = hide([childOf(node, 'id'), ...parameters], context);
  return [copy(node, inner, { ...ownKey(node), params: eraseList(parameters, inner) })];
}

/** The context in which the names of the patterns mean something else than around it. */
function hide(patterns: readonly (SyntaxNode | undefined)[], context: Context): Context {
  return { ...context, names: hideNames(patterns.flatMap(boundNames), context.names) };
}

function plainParameter(parameter: SyntaxNode): SyntaxNode {
  const inner = parameter.type === 'TSParameterProperty' ? childOf(parameter, 'parameter') : undefined;
  return inner ? { ...inner, decorators: parameter['decorators'] } : parameter;
}

function eraseClass(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const members = eraseList(childrenOf(childOf(node, 'body') ?? node, 'body'), context);
  const body = lowerParameterProperties(members, parameterProperties(node));
  return [copy(node, context, { body: { type: 'ClassBody', body } })];
}

function eraseBlock(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const statements = childrenOf(node, 'body');
  const inner = blockContext(statements, context);
  return [{ type: node.type, directives: directivesOf(node), body: eraseList(statements, inner) }];
}

function blockContext(statements: readonly SyntaxNode[], context: Context): Context {
  const names = namesOfBlock(statements, context.names);
  return { ...context, names, declared: new Set<string>(), isTop: false };
}

function eraseSwitch(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const statements = childrenOf(node, 'cases').flatMap((each) => childrenOf(each, 'consequent'));
  return [copy(node, blockContext(statements, context))];
}

function eraseLoop(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const declaration = childOf(node, 'init') ?? childOf(node, 'left');
  const declarators = declaration ? childrenOf(declaration, 'declarations') : [];
  return [
    copy(
      node,
      hide(
        declarators.map((each) => childOf(each, 'id')),
        context,
      ),
    ),
  ];
}

function eraseCatch(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  return [copy(node, hide([childOf(node, 'param')], context))];
}

/** Directives as texts; a module is strict without being told. */
function directivesOf(node: SyntaxNode): readonly string[] {
  return childrenOf(node, 'directives')
    .map((directive) => textOf(childOf(directive, 'value'), 'value'))
    .filter((directive) => directive !== 'use strict');
}

function eraseLabel(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const label = childOf(node, 'label');
  return [copy(node, context, label ? { label: nameOf(label) } : {})];
}

export function isTypeOnly(node: SyntaxNode): boolean {
  return [node['importKind'], node['exportKind']].some((kind) => kind === 'type' || kind === 'typeof');
}

/** Specifiers in the order of their local names: a formatter may sort them. */
function eraseImport(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const specifiers = childrenOf(node, 'specifiers')
    .filter((specifier) => !isTypeOnly(specifier))
    .map(eraseImportSpecifier)
    .toSorted(byText('local'));
  if (isTypeOnly(node) || (specifiers.length === 0 && !isBareImport(node, context.text))) return [];
  return [copy(node, context, { specifiers, source: specifierNode(childOf(node, 'source')) })];
}

function eraseImportSpecifier(specifier: SyntaxNode): SyntaxNode {
  const local = nameOf(childOf(specifier, 'local'));
  if (specifier.type === 'ImportNamespaceSpecifier') return { type: specifier.type, local };
  const imported =
    specifier.type === 'ImportDefaultSpecifier' ? 'default' : nameOf(childOf(specifier, 'imported'));
  return { type: 'ImportSpecifier', imported, local };
}

/** Tells `import 'x'` from `import {} from 'x'`, for which the tree is the same. */
function isBareImport(node: SyntaxNode, text: string): boolean {
  const [start, end] = [node['start'], childOf(node, 'source')?.['start']];
  if (childrenOf(node, 'specifiers').length > 0 || typeof start !== 'number' || typeof end !== 'number') {
    return false;
  }
  const withoutComments = text.slice(start, end).replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '');
  return !withoutComments.includes('{');
}

function byText(key: string): (left: SyntaxNode, right: SyntaxNode) => number {
  return (left, right) => (textOf(left, key) < textOf(right, key) ? -1 : 1);
}

function eraseNamedExport(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const declaration = childOf(node, 'declaration');
  if (declaration) return eraseExportedDeclaration(node, declaration, context);
  const source = childOf(node, 'source');
  const specifiers = childrenOf(node, 'specifiers')
    .filter((specifier) => !isTypeOnly(specifier))
    .map((specifier) => eraseExportSpecifier(specifier, source !== undefined))
    .toSorted(byText('exported'));
  if (isTypeOnly(node) || specifiers.length === 0) return [];
  return [copy(node, context, { specifiers, ...(source ? { source: specifierNode(source) } : {}) })];
}

/** Of an enum only the variable is exported, and only once. */
function eraseExportedDeclaration(
  node: SyntaxNode,
  declaration: SyntaxNode,
  context: Context,
): readonly SyntaxNode[] {
  const [first, ...others] = erase(declaration, context);
  if (first === undefined || first.type === 'ExpressionStatement') return first ? [first] : [];
  return [copy(node, context, { declaration: first }), ...others];
}

/** `local` is an identifier where it refers to something of this module. */
function eraseExportSpecifier(specifier: SyntaxNode, isElsewhere: boolean): SyntaxNode {
  const exported = nameOf(childOf(specifier, 'exported'));
  const local = childOf(specifier, 'local');
  if (!local) return { type: specifier.type, exported };
  return { type: specifier.type, exported, local: isElsewhere ? nameOf(local) : identifier(nameOf(local)) };
}

function eraseExportAll(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  return isTypeOnly(node) ? [] : [copy(node, context, { source: specifierNode(childOf(node, 'source')) })];
}

function eraseDefaultExport(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const declaration = childOf(node, 'declaration');
  const [erased] = declaration ? erase(declaration, context) : [];
  return erased ? [copy(node, context, { declaration: erased })] : [];
}

function eraseEnum(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const name = nameOf(childOf(node, 'id'));
  const isContinued = context.declared.has(name);
  context.declared.add(name);
  return lowerEnum(node, {
    names: context.names,
    isContinued,
    kind: context.isTop ? 'var' : 'let',
    erase: (expression) => eraseOne(expression, context),
  });
}

/** A namespace of types only is gone; one with values stays a namespace. */
function eraseNamespace(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const name = dottedName(childOf(node, 'id'));
  const body = childOf(node, 'body');
  const erased = body && eraseOne(body, context);
  if (!erased || childrenOf(erased, 'body').length === 0) return [];
  context.declared.add(name);
  return [{ type: node.type, name, body: erased }];
}

function dottedName(node: SyntaxNode | undefined): string {
  if (node?.type !== 'TSQualifiedName') return nameOf(node);
  return `${dottedName(childOf(node, 'left'))}.${dottedName(childOf(node, 'right'))}`;
}

function eraseImportEquals(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  return isTypeOnly(node) ? [] : [copy(node, context)];
}

function eraseModuleReference(node: SyntaxNode): readonly SyntaxNode[] {
  return [{ type: node.type, source: specifierNode(childOf(node, 'expression')) }];
}

function eraseQualifiedName(node: SyntaxNode, context: Context): readonly SyntaxNode[] {
  const left = childOf(node, 'left');
  return [{ type: node.type, left: left && eraseOne(left, context), right: nameOf(childOf(node, 'right')) }];
}
