import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { parse, toClientConfig } from 'pg-connection-string';
import { ConfigurationError } from '../core/errors.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** libpq parameter -> its environment variable, for those that node-postgres understands. */
const variables: Readonly<Record<string, string>> = {
  host: 'PGHOST',
  port: 'PGPORT',
  dbname: 'PGDATABASE',
  user: 'PGUSER',
  password: 'PGPASSWORD',
  sslmode: 'PGSSLMODE',
  sslrootcert: 'PGSSLROOTCERT',
  sslcert: 'PGSSLCERT',
  sslkey: 'PGSSLKEY',
  options: 'PGOPTIONS',
};

/** The connection string that libpq's PG* variables and service file describe; undefined when none is set. */
export function connectionStringFromEnvironment(env: Environment): string | undefined {
  const service = env['PGSERVICE'] ? readService(env['PGSERVICE'], env) : {};
  const own = Object.entries(variables).flatMap(([name, variable]) => {
    const value = env[variable];
    return value ? [[name, value] as const] : [];
  });
  const { dbname, ...rest }: Record<string, string> = { ...service, ...Object.fromEntries(own) };
  if (!dbname && !rest['host'] && !rest['user'] && !rest['port']) return undefined;
  return `postgres:///${encodeURIComponent(dbname ?? '')}?${new URLSearchParams(rest)}`;
}

/** Reads a connection string into what node-postgres takes. Throws a ConfigurationError that shows no password. */
export function parseConnectionString(text: string): pg.ClientConfig {
  if (!/^(?:postgres(?:ql)?|socket):\/\//i.test(text)) {
    throw invalid('it starts with neither "postgres://" nor "postgresql://"');
  }
  try {
    return toClientConfig(parse(text, { useLibpqCompat: true }));
  } catch (error) {
    throw invalid(describeParseError(error));
  }
}

function invalid(reason: string): ConfigurationError {
  return new ConfigurationError(`The database URL cannot be used: ${reason}.`, {
    hint: 'It is written postgres://user:password@host:port/database; special characters in the password are percent-encoded (@ is %40).',
  });
}

function describeParseError(error: unknown): string {
  if (!(error instanceof Error)) return 'it cannot be parsed';
  const code = 'code' in error ? error.code : undefined;
  if (code === 'ERR_INVALID_URL' || error instanceof URIError) return 'it is not a URL';
  if (code === 'ENOENT' && 'path' in error) return `the file "${error.path}" that it names does not exist`;
  if (error.message.startsWith('Invalid port')) return 'its port is not a number';
  return error.message.replace(/[.\s]+$/, '');
}

function readService(name: string, env: Environment): Record<string, string> {
  const files = [
    env['PGSERVICEFILE'] ?? join(homedir(), '.pg_service.conf'),
    ...(env['PGSYSCONFDIR'] ? [join(env['PGSYSCONFDIR'], 'pg_service.conf')] : []),
  ];
  for (const file of files) {
    const section = readSection(file, name);
    if (section) return section;
  }
  throw new ConfigurationError(
    `The service "${name}" of PGSERVICE is not defined in ${files.join(' or ')}.`,
    {
      hint: 'Add a section with that name, or set DB_URL.',
    },
  );
}

function readSection(file: string, name: string): Record<string, string> | undefined {
  let lines: readonly string[];
  try {
    lines = readFileSync(file, 'utf8').split(/\r?\n/);
  } catch {
    return undefined; // a service may stand in the other file
  }
  const start = lines.findIndex((line) => line.trim() === `[${name}]`);
  if (start === -1) return undefined;
  const rest = lines.slice(start + 1);
  const end = rest.findIndex((line) => line.trim().startsWith('['));
  const pairs = rest.slice(0, end === -1 ? undefined : end).flatMap((line) => {
    const match = /^\s*([a-z_]+)\s*=\s*(.*?)\s*$/.exec(line);
    return match ? [[match[1], match[2]]] : [];
  });
  return Object.fromEntries(pairs);
}
