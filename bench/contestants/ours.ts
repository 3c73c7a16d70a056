import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Alteration, renderSql, timestampOf } from '../alteration.ts';
import { type CommandLine, type Contestant, type Place, runNode } from './contestant.ts';
import { quoteTemplate, writeEach } from './write-each.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
export const oursProgram = join(root, 'dist/bin.js');
const alterationsARelease = 10;

export const oursSql: Contestant = {
  name: 'ours-sql',
  kind: 'ours',
  note: 'this package, `alteration deploy latest`; a `.sql` file each',
  transactions: 'each alteration',
  lock: 'waits',
  history: 'public.alteration_history',
  write: (folder, alterations) =>
    writeEach(folder, alterations, (alteration) => ({
      name: `${nameOf(alteration)}.sql`,
      text: renderSql(alteration),
    })),
  actions: {
    version: () => runNode([oursProgram, '--version']),
    deploy: (place) => run(['deploy', 'latest'], place),
    'no-op': (place) => run(['deploy', 'latest'], place),
    list: (place) => run(['list'], place),
  },
};

export const oursTs: Contestant = {
  ...oursSql,
  name: 'ours-ts',
  note: 'the same with `.ts` files, a query for each statement',
  async write(folder, alterations) {
    await writeEach(folder, alterations, (alteration) => ({
      name: `${nameOf(alteration)}.ts`,
      text: renderModule(alteration),
    }));
    await linkPackages(folder);
  },
};

export const oursAtomic: Contestant = {
  ...oursSql,
  name: 'ours-atomic',
  note: '`alteration deploy latest --atomic`, with the files of ours-sql; its floor is psql-one',
  transactions: 'whole deploy',
  floor: 'psql-one',
  actions: { deploy: (place) => run(['deploy', 'latest', '--atomic'], place) },
};

/** Where the files find slonik, as they do in a product. */
async function linkPackages(folder: string): Promise<void> {
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules')).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    },
  );
}

function run(args: readonly string[], { folder, url }: Place): CommandLine {
  return runNode([oursProgram, ...args, '--dir', folder], { cwd: folder, env: { DB_URL: url } });
}

function nameOf(alteration: Alteration): string {
  const release = Math.ceil(alteration.number / alterationsARelease);
  return `1.${release}.0-${timestampOf(alteration)}-${alteration.name}`;
}

function renderModule({ comment, statements }: Alteration): string {
  const queries = statements.map(
    (statement) => `    await transaction.query(sql.unsafe${quoteTemplate(statement)});\n`,
  );
  return `import type { AlterationScript } from 'postgres-alteration';
import { sql } from 'slonik';

// ${comment}
const alteration: AlterationScript = {
  up: async (transaction) => {
${queries.join('')}  },
};

export default alteration;
`;
}
