import { boundNames, childOf, childrenOf, nameOf, type SyntaxNode, textOf } from './node.ts';

export type Constant = string | number;

/** What a name stands for while an enum's values are worked out; a name that is hidden or unknown is `opaque`. */
export type Binding =
  | { readonly kind: 'opaque' }
  | { readonly kind: 'value'; readonly value: Constant }
  | Variable
  | { readonly kind: 'enum'; readonly members: Map<string, Constant> };

interface Variable {
  readonly kind: 'variable';
  readonly init: SyntaxNode;
  /** While its value is worked out: constants may name each other in a circle. */
  isPending: boolean;
}

/** Names of one block, and the blocks around it. */
export interface Names {
  readonly bindings: ReadonlyMap<string, Binding>;
  readonly outer: Names | undefined;
}

export interface Evaluated {
  readonly value?: Constant | undefined;
  /** Whether the text alone shows that it is a string, whatever its value. */
  readonly textual: boolean;
}

const opaque: Binding = { kind: 'opaque' };

export function hideNames(names: readonly string[], outer: Names | undefined): Names {
  return { bindings: new Map(names.map((name) => [name, opaque])), outer };
}

/** The names that the statements of a block declare. */
export function namesOfBlock(statements: readonly SyntaxNode[], outer: Names | undefined): Names {
  const bindings = new Map<string, Binding>();
  for (const statement of statements) {
    const declaration = childOf(statement, 'declaration') ?? statement;
    for (const [name, binding] of declaredBindings(declaration)) {
      if (bindings.get(name)?.kind !== 'enum') bindings.set(name, binding);
    }
  }
  return { bindings, outer };
}

function declaredBindings(declaration: SyntaxNode): readonly (readonly [string, Binding])[] {
  if (declaration.type === 'VariableDeclaration') {
    const isConst = textOf(declaration, 'kind') === 'const';
    return childrenOf(declaration, 'declarations').flatMap((declarator) => variables(declarator, isConst));
  }
  const id = childOf(declaration, 'id');
  if (id?.type !== 'Identifier') return [];
  const isEnum = declaration.type === 'TSEnumDeclaration';
  return [[nameOf(id), isEnum ? { kind: 'enum', members: new Map() } : opaque]];
}

function variables(declarator: SyntaxNode, isConst: boolean): readonly (readonly [string, Binding])[] {
  const id = childOf(declarator, 'id');
  const init = childOf(declarator, 'init');
  // tsc takes a constant's value only where no annotation says what it is.
  if (isConst && init && id?.type === 'Identifier' && !childOf(id, 'typeAnnotation')) {
    return [[nameOf(id), { kind: 'variable', init, isPending: false }]];
  }
  return boundNames(id).map((name) => [name, opaque]);
}

/** The value of a constant expression as tsc works it out for an enum's member. Takes a tree with its types. */
export function evaluate(node: SyntaxNode, names: Names | undefined): Evaluated {
  switch (node.type) {
    case 'StringLiteral':
      return { value: textOf(node, 'value'), textual: true };
    case 'NumericLiteral':
      return { value: Number(node['value']), textual: false };
    case 'TemplateLiteral':
      return { value: evaluateTemplate(node, names), textual: true };
    case 'UnaryExpression':
      return { value: evaluateUnary(node, names), textual: false };
    case 'BinaryExpression':
      return evaluateBinary(node, names);
    case 'Identifier':
      return { value: evaluateName(node, names), textual: false };
    case 'MemberExpression':
      return { value: evaluateMember(node, names), textual: false };
    default:
      return { textual: false };
  }
}

function evaluateTemplate(node: SyntaxNode, names: Names | undefined): string | undefined {
  const values = childrenOf(node, 'expressions').map((expression) => evaluate(expression, names).value);
  if (values.includes(undefined)) return undefined;
  const texts = childrenOf(node, 'quasis').map((quasi) => cookedOf(quasi));
  return texts.map((text, index) => `${text}${values[index] ?? ''}`).join('');
}

/** The text between two substitutions, with its escapes worked out. */
export function cookedOf(quasi: SyntaxNode): string {
  return templateText(quasi, 'cooked');
}

/** The text between two substitutions as it stands, which a tag can see. */
export function rawOf(quasi: SyntaxNode): string {
  return templateText(quasi, 'raw');
}

function templateText(quasi: SyntaxNode, key: 'raw' | 'cooked'): string {
  const value = quasi['value'];
  const text = typeof value === 'object' && value !== null ? Object.entries(value) : [];
  return String(text.find(([name]) => name === key)?.[1] ?? '');
}

function evaluateUnary(node: SyntaxNode, names: Names | undefined): number | undefined {
  const argument = childOf(node, 'argument');
  const value = argument && evaluate(argument, names).value;
  if (typeof value !== 'number') return undefined;
  return unaryOperators[textOf(node, 'operator')]?.(value);
}

const unaryOperators: Readonly<Record<string, (value: number) => number>> = {
  '+': (value) => value,
  '-': (value) => -value,
  '~': (value) => ~value,
};

function evaluateBinary(node: SyntaxNode, names: Names | undefined): Evaluated {
  const [left, right] = [childOf(node, 'left'), childOf(node, 'right')];
  const operator = textOf(node, 'operator');
  if (!left || !right) return { textual: false };
  const [first, second] = [evaluate(left, names), evaluate(right, names)];
  const textual = operator === '+' && (first.textual || second.textual);
  if (first.value === undefined || second.value === undefined) return { textual };
  if (typeof first.value === 'number' && typeof second.value === 'number') {
    return { value: binaryOperators[operator]?.(first.value, second.value), textual };
  }
  return { value: operator === '+' ? `${first.value}${second.value}` : undefined, textual };
}

const binaryOperators: Readonly<Record<string, (left: number, right: number) => number>> = {
  '|': (left, right) => left | right,
  '&': (left, right) => left & right,
  '^': (left, right) => left ^ right,
  '<<': (left, right) => left << right,
  '>>': (left, right) => left >> right,
  '>>>': (left, right) => left >>> right,
  '+': (left, right) => left + right,
  '-': (left, right) => left - right,
  '*': (left, right) => left * right,
  '/': (left, right) => left / right,
  '%': (left, right) => left % right,
  '**': (left, right) => left ** right,
};

function evaluateName(identifier: SyntaxNode, names: Names | undefined): Constant | undefined {
  const name = nameOf(identifier);
  const found = lookUp(name, names);
  if (!found) return globalConstants.get(name);
  const { binding, at } = found;
  if (binding.kind === 'value') return binding.value;
  return binding.kind === 'variable' ? evaluateVariable(binding, at) : undefined;
}

function evaluateVariable(variable: Variable, names: Names): Constant | undefined {
  if (variable.isPending) return undefined;
  variable.isPending = true;
  const { value } = evaluate(variable.init, names);
  variable.isPending = false;
  return value;
}

const globalConstants: ReadonlyMap<string, number> = new Map([
  ['Infinity', Number.POSITIVE_INFINITY],
  ['NaN', Number.NaN],
]);

/** `E.A` or `E['A']` of an enum that stands before. */
function evaluateMember(node: SyntaxNode, names: Names | undefined): Constant | undefined {
  const [object, property] = [childOf(node, 'object'), childOf(node, 'property')];
  if (object?.type !== 'Identifier') return undefined;
  if (node['computed'] === true && property?.type !== 'StringLiteral') return undefined;
  const binding = lookUp(nameOf(object), names)?.binding;
  return binding?.kind === 'enum' ? binding.members.get(nameOf(property)) : undefined;
}

/** What the name stands for here, and the block that says so. */
export function lookUp(
  name: string,
  names: Names | undefined,
): { readonly binding: Binding; readonly at: Names } | undefined {
  if (!names) return undefined;
  const binding = names.bindings.get(name);
  return binding ? { binding, at: names } : lookUp(name, names.outer);
}
