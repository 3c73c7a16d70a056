import { createTypeParserPreset, type Interceptor } from 'slonik';
import type { RowOptions } from './connect.ts';

/** Rows with camelCase field names, as slonik's field name transformation made them. */
const camelCaseFieldNames: Interceptor = {
  name: 'camel-case-field-names',
  transformRow: (_context, _query, row) =>
    Object.fromEntries(Object.entries(row).map(([name, value]) => [toCamelCase(name), value])),
};

/** Rows as Logto's alteration scripts expect them: camelCase field names, and int8 as a number. */
export const logtoRows: RowOptions = {
  interceptors: [camelCaseFieldNames],
  typeParsers: [
    ...createTypeParserPreset().filter(({ name }) => name !== 'int8'),
    { name: 'int8', parse: (value) => Number(value) },
  ],
};

function toCamelCase(name: string): string {
  return /^[a-z0-9_]+$/.test(name)
    ? name.replace(/_+([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase())
    : name;
}
