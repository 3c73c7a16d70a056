import { assign, constant, element, identifier, literal, member, statement } from './build.ts';
import { type Binding, type Constant, type Evaluated, evaluate, lookUp, type Names } from './constants.ts';
import { childOf, childrenOf, isNode, nameOf, type SyntaxNode } from './node.ts';
import { findReferences } from './references.ts';

interface EnumContext {
  readonly names: Names;
  /** Whether an earlier declaration of the same name has already made the variable. */
  readonly isContinued: boolean;
  readonly kind: 'var' | 'let';
  readonly erase: (expression: SyntaxNode) => SyntaxNode;
}

/** The JavaScript that tsc makes of an enum: a variable, and a function that fills it. */
export function lowerEnum(declaration: SyntaxNode, context: EnumContext): readonly SyntaxNode[] {
  const id = identifier(nameOf(childOf(declaration, 'id')));
  const body = { type: 'BlockStatement', body: lowerMembers(declaration, id, context) };
  const fill = { type: 'FunctionExpression', params: [id], body };
  const empty = { type: 'ObjectExpression', properties: [] };
  const object = { type: 'LogicalExpression', operator: '||', left: id, right: assign(id, empty) };
  const call = statement({ type: 'CallExpression', callee: fill, arguments: [object] });
  const declarations = [{ type: 'VariableDeclarator', id }];
  const variable = { type: 'VariableDeclaration', kind: context.kind, declarations };
  return context.isContinued ? [call] : [variable, call];
}

function lowerMembers(declaration: SyntaxNode, id: SyntaxNode, context: EnumContext): readonly SyntaxNode[] {
  const binding = lookUp(nameOf(id), context.names)?.binding;
  const known = binding?.kind === 'enum' ? binding.members : new Map<string, Constant>();
  const members = childrenOf(childOf(declaration, 'body') ?? declaration, 'members');
  const memberNames = new Set([...known.keys(), ...members.map((each) => nameOf(childOf(each, 'id')))]);
  let previous: Constant | undefined = -1;
  return members.map((each) => {
    const name = nameOf(childOf(each, 'id'));
    const init = childOf(each, 'initializer');
    const evaluated = init ? evaluate(init, namesWithin(known, memberNames, context)) : following(previous);
    previous = evaluated.value;
    if (previous !== undefined) known.set(name, previous);
    const value = previous === undefined ? computed(init, id, memberNames, context) : constant(previous);
    return fillMember(id, name, value, evaluated);
  });
}

function following(previous: Constant | undefined): Evaluated {
  return { value: typeof previous === 'number' ? previous + 1 : undefined, textual: false };
}

function namesWithin(
  known: ReadonlyMap<string, Constant>,
  memberNames: ReadonlySet<string>,
  { names }: EnumContext,
): Names {
  const bindings = new Map<string, Binding>();
  for (const name of memberNames) {
    const value = known.get(name);
    bindings.set(name, value === undefined ? { kind: 'opaque' } : { kind: 'value', value });
  }
  return { bindings, outer: names };
}

/** `E["A"] = 'a'`, or `E[E["A"] = 1] = "A"` for what is not known to be a string. */
function fillMember(id: SyntaxNode, name: string, value: SyntaxNode, evaluated: Evaluated): SyntaxNode {
  const forward = assign(element(id, literal(name)), value);
  const isString = evaluated.value === undefined ? evaluated.textual : typeof evaluated.value === 'string';
  return statement(isString ? forward : assign(element(id, forward), literal(name)));
}

/** A value that only running tells; members that it mentions by their bare names become `E.A`. */
function computed(
  init: SyntaxNode | undefined,
  id: SyntaxNode,
  memberNames: ReadonlySet<string>,
  context: EnumContext,
): SyntaxNode {
  if (!init) return { type: 'UnaryExpression', operator: 'void', prefix: true, argument: constant(0) };
  const erased = context.erase(init);
  const { free } = findReferences([erased]);
  return replaceNodes(erased, (node) =>
    free.has(node) && memberNames.has(nameOf(node)) ? member(id, nameOf(node)) : undefined,
  );
}

function replaceNodes(node: SyntaxNode, replace: (node: SyntaxNode) => SyntaxNode | undefined): SyntaxNode {
  const replaced = replace(node);
  if (replaced) return replaced;
  const visit = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(visit);
    return isNode(value) ? replaceNodes(value, replace) : value;
  };
  const entries = Object.entries(node).map(([key, value]) => [key, visit(value)]);
  return { ...Object.fromEntries(entries), type: node.type };
}
