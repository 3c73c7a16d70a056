import { access, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { deployReportSchema, errorReportSchema, statusReportSchema } from '../../src/index.ts';
import { password, type Sandbox, useSandboxes } from '../support/sandbox.ts';

const createSandbox = useSandboxes();
const files = { '1.0.0-1-first.sql': 'create table first (id int);' };
const told = 'The direct connection (--direct-url, DIRECT_DB_URL) is used.';

/** Two databases, so that it shows which of the two is taken. Behind a pooler they are one. */
interface Urls {
  readonly usual: string;
  readonly direct: string;
}

/** Where the URLs are given. */
interface Given {
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly dotenv?: Readonly<Record<string, string>>;
  readonly config?: Readonly<Record<string, string>>;
}

interface Case {
  readonly given: (urls: Urls) => Given;
  readonly taken: keyof Urls;
  /** Whether it is told that there was a choice. */
  readonly isTold: boolean;
}

/** libpq's variables for the same database. */
function variablesOf(url: string): Readonly<Record<string, string>> {
  const { hostname, port, username, pathname } = new URL(url);
  return {
    PGHOST: hostname,
    PGPORT: port,
    PGUSER: username,
    PGPASSWORD: password,
    PGDATABASE: pathname.slice(1),
  };
}

const cases: Readonly<Record<string, Case>> = {
  'beside the usual one in the environment': {
    given: ({ usual, direct }) => ({ env: { DB_URL: usual, DIRECT_DB_URL: direct } }),
    taken: 'direct',
    isTold: true,
  },
  'beside DATABASE_URL': {
    given: ({ usual, direct }) => ({ env: { DATABASE_URL: usual, DIRECT_DB_URL: direct } }),
    taken: 'direct',
    isTold: true,
  },
  'beside PG* variables in the environment': {
    given: ({ usual, direct }) => ({ env: { ...variablesOf(usual), DIRECT_DB_URL: direct } }),
    taken: 'direct',
    isTold: true,
  },
  'beside PG* variables in .env': {
    given: ({ usual, direct }) => ({ dotenv: { ...variablesOf(usual), DIRECT_DB_URL: direct } }),
    taken: 'direct',
    isTold: true,
  },
  alone: {
    given: ({ direct }) => ({ env: { DIRECT_DB_URL: direct } }),
    taken: 'direct',
    isTold: false,
  },
  'as a flag beside the usual one in the environment': {
    given: ({ usual, direct }) => ({ flags: ['--direct-url', direct], env: { DB_URL: usual } }),
    taken: 'direct',
    isTold: true,
  },
  'as a flag beside the usual one as a flag': {
    given: ({ usual, direct }) => ({ flags: ['--direct-url', direct, '--db-url', usual] }),
    taken: 'direct',
    isTold: true,
  },
  'as a flag, which is stronger than the variable': {
    given: ({ usual, direct }) => ({ flags: ['--direct-url', direct], env: { DIRECT_DB_URL: usual } }),
    taken: 'direct',
    isTold: false,
  },
  'by its own variable, which is stronger than the common one': {
    given: ({ usual, direct }) => ({ env: { ALTERATION_DIRECT_URL: direct, DIRECT_DB_URL: usual } }),
    taken: 'direct',
    isTold: false,
  },
  'in the environment, when the command line names a database': {
    given: ({ usual, direct }) => ({ flags: ['--db-url', usual], env: { DIRECT_DB_URL: direct } }),
    taken: 'usual',
    isTold: false,
  },
  'beside the usual one in .env': {
    given: ({ usual, direct }) => ({ dotenv: { DB_URL: usual, DIRECT_DB_URL: direct } }),
    taken: 'direct',
    isTold: true,
  },
  'in the environment, beside the usual one in .env': {
    given: ({ usual, direct }) => ({ env: { DIRECT_DB_URL: direct }, dotenv: { DB_URL: usual } }),
    taken: 'direct',
    isTold: true,
  },
  'in .env, when the environment names a database': {
    given: ({ usual, direct }) => ({ env: { DB_URL: usual }, dotenv: { DIRECT_DB_URL: direct } }),
    taken: 'usual',
    isTold: false,
  },
  'in .env, when the environment names a database by PG* variables': {
    given: ({ usual, direct }) => ({ env: variablesOf(usual), dotenv: { DIRECT_DB_URL: direct } }),
    taken: 'usual',
    isTold: false,
  },
  'beside the usual one in the config file': {
    given: ({ usual, direct }) => ({ config: { dbUrl: usual, directUrl: direct } }),
    taken: 'direct',
    isTold: true,
  },
  'in the environment, beside the usual one in the config file': {
    given: ({ usual, direct }) => ({ env: { DIRECT_DB_URL: direct }, config: { dbUrl: usual } }),
    taken: 'direct',
    isTold: true,
  },
  'in the config file, when .env names a database': {
    given: ({ usual, direct }) => ({ dotenv: { DB_URL: usual }, config: { directUrl: direct } }),
    taken: 'usual',
    isTold: false,
  },
  empty: {
    given: ({ usual }) => ({ env: { DB_URL: usual, DIRECT_DB_URL: '' } }),
    taken: 'usual',
    isTold: false,
  },
};

const databaseOf = (url: string) => new URL(url).pathname.slice(1);

async function runGiven(
  sandbox: Sandbox,
  args: readonly string[],
  { flags = [], env = {}, dotenv = {}, config = {} }: Given,
) {
  const lines = Object.entries(dotenv).map(([name, value]) => `${name}="${value}"\n`);
  if (lines.length > 0) await writeFile(join(sandbox.root, '.env'), lines.join(''));
  const text = JSON.stringify(config);
  if (text !== '{}') await writeFile(join(sandbox.root, 'alteration.config.json'), text);
  return sandbox.run([...args, ...flags], { env: { DB_URL: undefined, ...env } });
}

describe.concurrent('a direct connection that is given', () => {
  for (const [where, { given, taken, isTold }] of Object.entries(cases)) {
    test(`${where}: the ${taken} one is taken${isTold ? ', which is told' : ''}`, async () => {
      const sandbox = await createSandbox();
      const { url: direct } = await createSandbox();
      const urls = { usual: sandbox.url, direct };
      const { exitCode, stdout, stderr } = await runGiven(sandbox, ['status', '--json'], given(urls));
      expect(exitCode).toBe(0);
      expect(statusReportSchema.parse(JSON.parse(stdout)).database.database).toBe(databaseOf(urls[taken]));
      expect(stderr).toBe(isTold ? `${told}\n` : '');
    });
  }

  const both = ({ usual, direct }: Urls) => ({ env: { DB_URL: usual, DIRECT_DB_URL: direct } });

  test('is what a deploy goes to, and what its header names', async () => {
    const usual = await createSandbox(files);
    const direct = await createSandbox();
    const given = both({ usual: usual.url, direct: direct.url });
    const { exitCode, stdout, stderr } = await runGiven(usual, ['deploy', '--json'], given);
    expect(exitCode).toBe(0);
    const { hostname, port, username } = new URL(direct.url);
    expect(stderr.split('\n').slice(0, 2)).toEqual([
      told,
      expect.stringMatching(
        new RegExp(
          `^Database {2}${direct.name} at ${hostname}:${port} as ${username} \\(PostgreSQL \\d+\\.\\d+\\)$`,
        ),
      ),
    ]);
    expect(deployReportSchema.parse(JSON.parse(stdout)).database).toMatchObject({
      host: hostname,
      port: Number(port),
      database: direct.name,
      role: username,
      pooler: 'none',
    });
    const tables = `select to_regclass('first') is not null as there`;
    expect(await direct.query(tables)).toEqual([{ there: true }]);
    expect(await usual.query(tables)).toEqual([{ there: false }]);
  });

  test('is told in a log line where logs are JSON', async () => {
    const usual = await createSandbox();
    const { url: direct } = await createSandbox();
    const { env } = both({ usual: usual.url, direct });
    const { stderr } = await runGiven(usual, ['status'], { env: { ...env, ALTERATION_LOG_FORMAT: 'json' } });
    expect(JSON.parse(stderr)).toMatchObject({ level: 'info', msg: told });
  });

  test('is not told to those who want warnings alone', async () => {
    const usual = await createSandbox();
    const { url: direct } = await createSandbox();
    const { stderr } = await runGiven(
      usual,
      ['deploy', '--log-level', 'warn'],
      both({ usual: usual.url, direct }),
    );
    expect(stderr).toBe('');
  });

  test('does not give way to the usual one when it does not work', async () => {
    const sandbox = await createSandbox(files);
    const direct = new URL(sandbox.url);
    direct.pathname = '/nowhere_at_all';
    const given = both({ usual: sandbox.url, direct: direct.href });
    const { exitCode, stdout } = await runGiven(sandbox, ['deploy', '--json'], given);
    expect(exitCode).toBe(2);
    expect(errorReportSchema.parse(JSON.parse(stdout)).error.message).toContain(
      'database "nowhere_at_all" does not exist',
    );
    expect(await sandbox.query(`select to_regclass('first') is not null as there`)).toEqual([
      { there: false },
    ]);
  });

  // The sandbox looks for the password in all that is said.
  test.for([
    ['has no scheme', (url: string) => url.replace('postgres://', '')],
    ['has a port that is none', (url: string) => url.replace(/:\d+\//, ':port/')],
    ['is of another database', (url: string) => url.replace('postgres:', 'mysql:')],
    ['has a role that does not exist', (url: string) => url.replace('//test_', '//nobody_')],
    ['has a port where nothing listens', (url: string) => url.replace(/:\d+\//, ':1/')],
    ['has a password that is not encoded', (url: string) => url.replace(/:[^:@]*@/, `:${password}@`)],
  ] as const)('does not show its password when it %s', async ([, spoil]) => {
    const sandbox = await createSandbox(files);
    for (const format of ['pretty', 'json']) {
      const { exitCode, stdout, stderr } = await runGiven(sandbox, ['deploy', '--connect-wait', '300ms'], {
        env: {
          DB_URL: sandbox.url,
          DIRECT_DB_URL: spoil(sandbox.url),
          ALTERATION_LOG_FORMAT: format,
          ALTERATION_LOG_LEVEL: 'debug',
          ALTERATION_JSON: 'true',
        },
      });
      expect([2, 9]).toContain(exitCode);
      expect(stdout).toContain('database');
      expect(stdout + stderr).not.toMatch(/^ {4}at |defect/m);
    }
  });
});

describe.concurrent('an embedded server', () => {
  const isThere = ({ root }: Sandbox) =>
    access(join(root, 'database')).then(
      () => true,
      () => false,
    );

  test('can be the direct connection', async () => {
    const sandbox = await createSandbox(files);
    const { exitCode, stderr } = await runGiven(sandbox, ['deploy'], {
      env: { DB_URL: sandbox.url, DIRECT_DB_URL: 'embedded:database' },
    });
    expect(exitCode).toBe(0);
    expect(stderr).toContain(`${told}\n`);
    expect(stderr).toMatch(/^Database {2}postgres at 127\.0\.0\.1:\d+ as postgres /m);
    expect(await sandbox.query(`select to_regclass('first') is not null as there`)).toEqual([
      { there: false },
    ]);
  });

  test('is not started for the sake of the usual one', async () => {
    const sandbox = await createSandbox(files);
    const { exitCode } = await runGiven(sandbox, ['deploy'], {
      env: { DB_URL: 'embedded:database', DIRECT_DB_URL: sandbox.url },
    });
    expect(exitCode).toBe(0);
    expect(await isThere(sandbox)).toBe(false);
    expect(await sandbox.query(`select to_regclass('first') is not null as there`)).toEqual([
      { there: true },
    ]);
  });
});
