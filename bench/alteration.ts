/** One step of the generated history; each contestant writes it in a format of its own. */
export interface Alteration {
  /** Counts from 1. */
  readonly number: number;
  /** kebab-case. */
  readonly name: string;
  /** A sentence or two, as people head such a file. */
  readonly comment: string;
  /** Without the final semicolon. */
  readonly statements: readonly string[];
}

/** The alteration as a SQL file: its comment and its statements. */
export function renderSql({ comment, statements }: Alteration): string {
  return `-- ${comment}\n${renderStatements(statements)}`;
}

/** Statements as a script. */
export function renderStatements(statements: readonly string[]): string {
  return statements.map((statement) => `${statement};\n`).join('\n');
}

/** `0042-create-orders`: a name that sorts as the alterations are ordered. */
export function sortableName({ number, name }: Alteration, separator = '-'): string {
  return `${String(number).padStart(5, '0')}${separator}${name}`;
}

/** A moment of its own for each, in seconds since the epoch, for names that begin with one. */
export function timestampOf({ number }: Alteration): number {
  return firstTimestamp + number * 3_600;
}

/** The same as `20230101130000`, as many tools begin their files' names. */
export function digitsOf(alteration: Alteration): string {
  return new Date(timestampOf(alteration) * 1_000).toISOString().replace(/\D/g, '').slice(0, 14);
}

const firstTimestamp = 1_672_531_200;
