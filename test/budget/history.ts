/** So many SQL alterations with so many statements each, by their file names. */
export function sqlHistory(count: number, statements: number): Readonly<Record<string, string>> {
  return filesOf(count, 'sql', (number) =>
    statementsOf(number, statements)
      .map((statement) => `${statement};\n`)
      .join(''),
  );
}

/** The same as TypeScript, with a query for each statement. */
export function moduleHistory(count: number, statements: number): Readonly<Record<string, string>> {
  return filesOf(count, 'ts', (number) => {
    const queries = statementsOf(number, statements).map(
      (statement) => `    await transaction.query(sql.unsafe\`${statement}\`);\n`,
    );
    return `import type { AlterationScript } from 'postgres-alteration';
import { sql } from 'slonik';

const alteration: AlterationScript = {
  up: async (transaction) => {
${queries.join('')}  },
};

export default alteration;
`;
  });
}

function filesOf(count: number, extension: string, render: (number: number) => string) {
  const numbers = Array.from({ length: count }, (_, index) => index + 1);
  return Object.fromEntries(
    numbers.map((number) => [`1.${number}.0-${1_700_000_000 + number}-step.${extension}`, render(number)]),
  );
}

function statementsOf(number: number, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) =>
    index === 0
      ? `create table step_${number} (id int, role text)`
      : `insert into step_${number} values (${index})`,
  );
}
