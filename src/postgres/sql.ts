// The runner's own queries, written as with slonik's tag but without what that loads: a run with nothing to do is
// over before it would be there.

/** A text with placeholders `$1`, `$2`, … and their values. */
export interface Query {
  readonly sql: string;
  readonly values: readonly Value[];
}

/** As PostgreSQL reads it from text. */
export type Value = string | number | bigint | boolean | null;

/** A part of a query; its placeholders are counted from 1. */
export interface Fragment {
  readonly fragment: string;
  readonly values: readonly Value[];
}

type Part = Value | Fragment;

function isFragment(part: Part): part is Fragment {
  return typeof part === 'object' && part !== null;
}

function assemble(strings: readonly string[], parts: readonly Part[]): Fragment {
  let fragment = strings[0] ?? '';
  const values: Value[] = [];
  for (const [index, part] of parts.entries()) {
    if (isFragment(part)) {
      fragment += shift(part.fragment, values.length);
      values.push(...part.values);
    } else fragment += `$${values.push(part)}`;
    fragment += strings[index + 1] ?? '';
  }
  return { fragment, values };
}

function shift(fragment: string, by: number): string {
  return by === 0 ? fragment : fragment.replace(/\$(\d+)/g, (_, index) => `$${Number(index) + by}`);
}

export const sql = {
  unsafe: (strings: TemplateStringsArray, ...parts: readonly Part[]): Query => {
    const { fragment, values } = assemble(strings, parts);
    return { sql: fragment, values };
  },
  fragment: (strings: TemplateStringsArray, ...parts: readonly Part[]): Fragment => assemble(strings, parts),
  /** A name with those that it stands in, such as schema and table. */
  identifier: (names: readonly string[]): Fragment => ({
    fragment: names.map((name) => `"${name.replaceAll('"', '""')}"`).join('.'),
    values: [],
  }),
  join: (fragments: readonly Fragment[], { fragment: glue }: Fragment): Fragment =>
    assemble(['', ...fragments.slice(1).map(() => glue), ''], fragments),
  /** An array of texts. */
  array: (values: readonly string[]): Fragment => ({
    fragment: '$1::pg_catalog.text[]',
    values: [`{${values.map((value) => `"${value.replace(/["\\]/g, '\\$&')}"`).join()}}`],
  }),
} as const;
