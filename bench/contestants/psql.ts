import { existsSync, readdirSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Alteration, renderSql } from '../alteration.ts';
import { findProgram } from '../find-program.ts';
import { UsageError } from '../usage-error.ts';
import type { CommandLine, Contestant, Place } from './contestant.ts';

const debianRoot = '/usr/lib/postgresql';
const script = 'alterations.sql';
const history = 'public.floor_history';
const columns =
  'number integer primary key, name text not null, applied_at timestamptz not null default now()';
const startUp = `create table if not exists ${history} (${columns});\n`;

/** `psql -f` with the SQL of all alterations, a history row after each. */
export const psqlEach: Contestant = {
  name: 'psql-each',
  kind: 'floor',
  note: '`psql -f` of the same SQL with a history row each; its no-op reads the history',
  transactions: 'each alteration',
  lock: 'none',
  history,
  write: (folder, alterations) => writeScript(folder, alterations, (text) => `begin;\n${text}commit;\n`),
  actions: {
    version: () => psql(['--version']),
    deploy: ({ folder, url }) => psql(['--file', join(folder, script), url]),
    'no-op': readHistory,
    list: readHistory,
  },
};

export const psqlOne: Contestant = {
  name: 'psql-one',
  kind: 'floor',
  note: '`psql --single-transaction -f` of the same',
  transactions: 'whole deploy',
  lock: 'none',
  history,
  write: (folder, alterations) => writeScript(folder, alterations, (text) => text),
  actions: {
    deploy: ({ folder, url }) => psql(['--single-transaction', '--file', join(folder, script), url]),
  },
};

async function writeScript(
  folder: string,
  alterations: readonly Alteration[],
  wrap: (text: string) => string,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const texts = alterations.map((alteration) => {
    const row = `insert into ${history} (number, name) values (${alteration.number}, '${alteration.name}');\n`;
    return wrap(`${renderSql(alteration)}${row}`);
  });
  await writeFile(join(folder, script), startUp + texts.join('\n'));
}

function readHistory({ url }: Place): CommandLine {
  return psql(['--tuples-only', '--no-align', '--command', `select * from ${history}`, url]);
}

function psql(args: readonly string[]): CommandLine {
  return { file: findPsql(), args: ['--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', ...args] };
}

/**
 * Debian's own `psql` is a Perl script that looks for the program: the program itself is taken where it is there.
 * Throws UsageError where there is none.
 */
export function findPsql(): string {
  const program = findProgram('psql', listDebianFolders());
  if (program === undefined) {
    throw new UsageError(
      'There is no psql in PATH: install it, on Debian with "apt-get install postgresql-client".',
    );
  }
  return program;
}

/** Newest first. */
function listDebianFolders(): readonly string[] {
  const majors = existsSync(debianRoot) ? readdirSync(debianRoot).map(Number) : [];
  return majors
    .toSorted((left, right) => right - left)
    .map((major) => join(debianRoot, String(major), 'bin'));
}
