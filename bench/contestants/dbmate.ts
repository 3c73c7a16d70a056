import { arch, platform } from 'node:os';
import { digitsOf, renderStatements } from '../alteration.ts';
import { type CommandLine, type Contestant, fileOfPackage, type Place } from './contestant.ts';
import { writeEach } from './write-each.ts';

// The package dbmate is a Node script that starts the program of such a package; here the program itself is measured.
const packageName = `@dbmate/${platform()}-${arch()}`;
const program = fileOfPackage(`${packageName}/bin/dbmate`);

export const dbmate: Contestant = {
  name: 'dbmate',
  kind: 'peer',
  package: packageName,
  note: 'the Go program itself, `dbmate --no-dump-schema migrate`; a `.sql` file each',
  transactions: 'each alteration',
  lock: 'none',
  history: 'public.schema_migrations',
  write: (folder, alterations) =>
    writeEach(folder, alterations, (alteration) => ({
      name: `${digitsOf(alteration)}_${alteration.name.replaceAll('-', '_')}.sql`,
      text: `-- migrate:up\n-- ${alteration.comment}\n${renderStatements(alteration.statements)}\n-- migrate:down\n`,
    })),
  actions: {
    version: () => ({ file: program, args: ['--version'] }),
    deploy: (place) => run('migrate', place),
    'no-op': (place) => run('migrate', place),
    list: (place) => run('status', place),
  },
};

function run(command: string, { folder, url }: Place): CommandLine {
  return {
    file: program,
    args: ['--migrations-dir', folder, '--no-dump-schema', command],
    cwd: folder,
    env: { DATABASE_URL: `${url}?sslmode=disable` },
  };
}
