import { eraseProgram, isTypeOnly } from './erase.ts';
import { boundNames, childOf, childrenOf, hasFlag, nameOf, type SyntaxNode, textOf } from './node.ts';
import { parseModule } from './parse-module.ts';
import { findReferences } from './references.ts';

/** What an export is: something of this module, or what another module exports under `name`. */
export type Origin = 'value' | 'type' | { readonly specifier: string; readonly name: string };

/** A module without its types; its imports and exports may still name types of other modules. */
export interface ErasedModule {
  readonly program: SyntaxNode;
  readonly exports: ReadonlyMap<string, Origin>;
  /** The modules of `export * from`. */
  readonly stars: readonly string[];
}

/** Throws `UnusableAlterationError`, which gives the module the name `file`. */
export function readErasedModule(source: string, file: string): ErasedModule {
  const text = source.replace(/^\uFEFF/, '').replaceAll(/\r\n?/g, '\n');
  const parsed = parseModule(text, file);
  const program = eraseProgram(parsed, text);
  const statements = childrenOf(program, 'body');
  const locals = localOrigins(childrenOf(parsed, 'body'), statements);
  const types = childrenOf(parsed, 'body').flatMap(exportedTypes);
  const values = statements.flatMap((each) => exportedOrigins(each, locals));
  const stars = statements.filter(({ type }) => type === 'ExportAllDeclaration').map(sourceOf);
  return { program, stars, exports: new Map([...types.map((name) => [name, 'type'] as const), ...values]) };
}

/** What the names are that an `export { name }` may mean; a name that is not here is a value. */
function localOrigins(parsed: readonly SyntaxNode[], erased: readonly SyntaxNode[]): Map<string, Origin> {
  const declarations = parsed.map((each) => childOf(each, 'declaration') ?? each);
  const origins = new Map<string, Origin>();
  for (const name of declarations.flatMap(declaredTypes)) origins.set(name, 'type');
  for (const each of erased.filter(({ type }) => type === 'ImportDeclaration')) {
    for (const specifier of childrenOf(each, 'specifiers')) {
      origins.set(textOf(specifier, 'local'), importedOrigin(each, specifier));
    }
  }
  const values = [...findReferences(erased).declared, ...declarations.flatMap(ambientValues)];
  for (const name of values) origins.set(name, 'value');
  return origins;
}

function importedOrigin(declaration: SyntaxNode, specifier: SyntaxNode): Origin {
  if (specifier.type === 'ImportNamespaceSpecifier') return 'value';
  return { specifier: sourceOf(declaration), name: textOf(specifier, 'imported') };
}

function sourceOf(node: SyntaxNode): string {
  return textOf(childOf(node, 'source'), 'value');
}

function declaredTypes(declaration: SyntaxNode): readonly string[] {
  switch (declaration.type) {
    case 'TSInterfaceDeclaration':
    case 'TSTypeAliasDeclaration':
    case 'TSModuleDeclaration':
      return boundNames(childOf(declaration, 'id'));
    case 'TSImportEqualsDeclaration':
      return isTypeOnly(declaration) ? boundNames(childOf(declaration, 'id')) : [];
    case 'ImportDeclaration':
      return childrenOf(declaration, 'specifiers')
        .filter((specifier) => isTypeOnly(declaration) || isTypeOnly(specifier))
        .map((specifier) => nameOf(childOf(specifier, 'local')));
    default:
      return [];
  }
}

/** `declare const a` declares a value that is somewhere else. */
function ambientValues(declaration: SyntaxNode): readonly string[] {
  const isType = ['TSInterfaceDeclaration', 'TSTypeAliasDeclaration'].includes(declaration.type);
  if (isType || !hasFlag(declaration, 'declare')) return [];
  const declarators = childrenOf(declaration, 'declarations');
  return [declaration, ...declarators].flatMap((each) => boundNames(childOf(each, 'id')));
}

function exportedTypes(statement: SyntaxNode): readonly string[] {
  const declaration = childOf(statement, 'declaration');
  const isInterface = declaration?.type === 'TSInterfaceDeclaration';
  if (statement.type === 'ExportDefaultDeclaration') return isInterface ? ['default'] : [];
  if (statement.type !== 'ExportNamedDeclaration') return [];
  if (declaration) {
    return isInterface || declaration.type === 'TSTypeAliasDeclaration' ? declaredTypes(declaration) : [];
  }
  return childrenOf(statement, 'specifiers')
    .filter((specifier) => isTypeOnly(statement) || isTypeOnly(specifier))
    .map((specifier) => nameOf(childOf(specifier, 'exported')));
}

function exportedOrigins(
  statement: SyntaxNode,
  locals: ReadonlyMap<string, Origin>,
): readonly (readonly [string, Origin])[] {
  const declaration = childOf(statement, 'declaration');
  if (statement.type === 'ExportDefaultDeclaration') {
    const isName = declaration?.type === 'Identifier';
    return [['default', (isName && locals.get(nameOf(declaration))) || 'value']];
  }
  if (statement.type !== 'ExportNamedDeclaration') return [];
  const declarators = declaration ? [declaration, ...childrenOf(declaration, 'declarations')] : [];
  const declared = declarators.flatMap((each) => boundNames(childOf(each, 'id')));
  const specifiers = childrenOf(statement, 'specifiers').map((specifier) => {
    return [textOf(specifier, 'exported'), specifierOrigin(statement, specifier, locals)] as const;
  });
  return [...declared.map((name) => [name, 'value'] as const), ...specifiers];
}

function specifierOrigin(
  statement: SyntaxNode,
  specifier: SyntaxNode,
  locals: ReadonlyMap<string, Origin>,
): Origin {
  const local = childOf(specifier, 'local');
  if (local) return locals.get(nameOf(local)) ?? 'value';
  const isNamespace = specifier.type === 'ExportNamespaceSpecifier';
  return isNamespace ? 'value' : { specifier: sourceOf(statement), name: textOf(specifier, 'local') };
}

/** The statements without the exports that `types` names, and without the imports that nothing uses any more. */
export function dropUnused(program: SyntaxNode, types: ReadonlySet<string>): SyntaxNode {
  const exporting = childrenOf(program, 'body').flatMap((each) => withoutTypes(each, types));
  const used = new Set([...findReferences(exporting).free].map(nameOf));
  const body = exporting.flatMap((each) => withoutUnused(each, used));
  return { ...program, body };
}

function withoutTypes(statement: SyntaxNode, types: ReadonlySet<string>): readonly SyntaxNode[] {
  if (statement.type === 'ExportDefaultDeclaration') return types.has('default') ? [] : [statement];
  if (statement.type !== 'ExportNamedDeclaration' || childOf(statement, 'declaration')) return [statement];
  const all = childrenOf(statement, 'specifiers');
  const specifiers = all.filter((specifier) => !types.has(textOf(specifier, 'exported')));
  return specifiers.length === 0 ? [] : [{ ...statement, specifiers }];
}

function withoutUnused(statement: SyntaxNode, used: ReadonlySet<string>): readonly SyntaxNode[] {
  const all = childrenOf(statement, 'specifiers');
  if (statement.type !== 'ImportDeclaration' || all.length === 0) return [statement];
  const specifiers = all.filter((specifier) => used.has(textOf(specifier, 'local')));
  return specifiers.length === 0 ? [] : [{ ...statement, specifiers }];
}
