/** Text of an alteration module whose `up` has this body; in it the transaction is `connection`. */
export function moduleText(body: string, imports = `import { sql } from 'slonik';`): string {
  return `${imports}\nexport default { up: async (connection) => {\n${body}\n} };\n`;
}
