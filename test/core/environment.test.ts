import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import {
  loadEnvFile,
  readEnvironment,
  readLibpqDatabase,
  refuseSwallowedOptions,
} from '../../src/cli/environment.ts';
import { ConfigurationError, UsageError } from '../../src/core/errors.ts';
import { createHost } from './host.ts';
import { refusalOf } from './refusal-of.ts';

describe('the .env file', () => {
  it('adds its values, which may span lines', async () => {
    const { env, load } = await createEnvironment({
      '.env':
        'DB_URL=postgres://db/app # the database\nKEYS="-----BEGIN\nabc=\n-----END"\nexport NAME=\'a b\'\n',
    });

    await load();

    expect(env).toEqual({
      DB_URL: 'postgres://db/app',
      KEYS: '-----BEGIN\nabc=\n-----END',
      NAME: 'a b',
    });
  });

  it('gives its values alone, for they are weaker than those of the environment', async () => {
    const { env, load } = await createEnvironment({ '.env': 'DB_URL=file\nNAME=file' });
    Object.assign(env, { DATABASE_URL: 'real', NAME: 'real' });

    expect(await load()).toEqual({ DB_URL: 'file', NAME: 'file' });
  });

  it('does not replace what the real environment says, be it empty', async () => {
    const { env, load } = await createEnvironment({ '.env': 'DB_URL=file\nNAME=file\nOTHER=file' });
    Object.assign(env, { DB_URL: 'real', NAME: '' });

    await load();

    expect(env).toEqual({ DB_URL: 'real', NAME: '', OTHER: 'file' });
  });

  it('need not be there', async () => {
    const { env, load } = await createEnvironment({});

    await load();

    expect(env).toEqual({});
  });

  it('is another one when one is named', async () => {
    const { env, load } = await createEnvironment({ '.env': 'NAME=a', 'prod.env': 'NAME=b' });

    await load('prod.env');

    expect(env).toEqual({ NAME: 'b' });
  });

  it('must be there when it is named', async () => {
    const { load } = await createEnvironment({ '.env': 'NAME=a' });

    const refusal = await refusalOf(ConfigurationError, () => load('missing.env'));

    expect(refusal.message).toBe('The env file "missing.env" cannot be read: it does not exist.');
  });

  it('must be a file', async () => {
    const { load } = await createEnvironment({});

    const refusal = await refusalOf(ConfigurationError, () => load('.'));

    expect(refusal.message).toContain('The env file "." cannot be read: EISDIR');
  });
});

describe('the environment', () => {
  it('gives settings, each with the variable that it comes from', () => {
    const given = readEnvironment({ ALTERATION_LOCK_WAIT: '5s', ALTERATION_STRICT_ORDER: '1', PATH: '/bin' });

    expect([...given]).toEqual([
      ['lockWait', { value: '5s', source: 'ALTERATION_LOCK_WAIT' }],
      ['strictOrder', { value: '1', source: 'ALTERATION_STRICT_ORDER' }],
    ]);
  });

  it.each([
    [{ ALTERATION_DB_URL: 'a', DB_URL: 'b', DATABASE_URL: 'c' }, 'ALTERATION_DB_URL'],
    [{ DB_URL: 'b', DATABASE_URL: 'c' }, 'DB_URL'],
    [{ DB_URL: '', DATABASE_URL: 'c' }, 'DATABASE_URL'],
    [{ ALTERATION_DB_URL: undefined, DB_URL: '', DATABASE_URL: '' }, undefined],
  ])('of %j names the database in %s', (env, source) => {
    expect(readEnvironment(env).get('dbUrl')?.source).toBe(source);
  });
});

describe("libpq's variables", () => {
  it('name a database where no URL does', () => {
    const env = { PGHOST: 'db', PGDATABASE: 'app' };

    expect(readLibpqDatabase(env, readEnvironment(env)).get('dbUrl')).toEqual({
      value: 'postgres:///app?host=db',
      source: "libpq's variables",
    });
  });

  it.each([
    ['beside a URL', { PGHOST: 'db', DATABASE_URL: 'postgres://h/db' }],
    ['when there are none', {}],
    ['when they name no database', { PGPASSWORD: 'x', PGSSLMODE: 'require' }],
  ])('say nothing %s', (_, env: Record<string, string>) => {
    expect([...readLibpqDatabase(env, readEnvironment(env))]).toEqual([]);
  });
});

describe('options that npm kept for itself', () => {
  const script = { npm_lifecycle_event: 'alteration' };

  it.each([
    ['--config', { npm_config_config: 'c.json' }],
    ['--log-level', { npm_config_log_level: 'debug' }],
    ['--db-url', { npm_config_db_url: 'postgres://u:S3CRET@h/db' }],
    ['--ci', { npm_config_ci: 'true' }],
    ['--ci', { npm_config_cidr: 'true' }],
  ])('are refused: %s', async (option, kept) => {
    const { host } = createHost({ argv: ['deploy'], env: { ...script, ...kept } });

    const refusal = await refusalOf(UsageError, () => refuseSwallowedOptions(host));

    expect(refusal.message).toBe(`npm kept ${option} for itself; nothing was done.`);
    expect(refusal.hint).not.toContain('S3CRET');
  });

  it("are none where a range of addresses is npm's own", () => {
    const { host } = createHost({ argv: ['deploy'], env: { ...script, npm_config_cidr: '10.0.0.0/8' } });

    expect(() => refuseSwallowedOptions(host)).not.toThrow();
  });

  it('are refused, with the command that is right', async () => {
    const { host } = createHost({
      argv: ['deploy', '1.4.0'],
      env: { ...script, npm_config_dry_run: 'true', npm_config_strict_order: 'true' },
    });

    expect(await refusalOf(UsageError, () => refuseSwallowedOptions(host))).toMatchObject({
      message: 'npm kept --strict-order and --dry-run for itself; nothing was done.',
      hint: 'Put "--" before the options: npm run alteration deploy 1.4.0 -- --strict-order --dry-run',
    });
  });

  it('are told without the values that npm left among the arguments: one may be a password', async () => {
    const { host } = createHost({
      argv: ['deploy', 'postgres://app:secret@db/app'],
      env: { ...script, npm_config_db_url: 'true', npm_config_json: 'true' },
    });

    expect(await refusalOf(UsageError, () => refuseSwallowedOptions(host))).toMatchObject({
      message: 'npm kept --db-url and --json for itself; nothing was done.',
      hint: 'Put "--" before the options: npm run alteration <command> -- --db-url <url> --json',
    });
  });

  it.each([
    ['outside npm', ['deploy'], { npm_config_dry_run: 'true' }],
    ['when npm has none', ['deploy'], { ...script }],
    ['when they arrived as well', ['deploy', '--dry-run'], { ...script, npm_config_dry_run: 'true' }],
    ['when they arrived with a value', ['deploy', '--dir=x'], { ...script, npm_config_dir: 'x' }],
    ['when npm says false', ['deploy'], { ...script, npm_config_dry_run: 'false', npm_config_json: '' }],
    ['when they are npm settings of their own', ['deploy'], { ...script, npm_config_yes: 'true' }],
  ])('are not seen %s', (_, argv, env) => {
    const { host } = createHost({ argv, env });

    expect(() => refuseSwallowedOptions(host)).not.toThrow();
  });
});

async function createEnvironment(files: Readonly<Record<string, string>>) {
  const cwd = await mkdtemp(join(tmpdir(), 'alteration-test-'));
  onTestFinished(() => rm(cwd, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) await writeFile(join(cwd, name), text);
  const env: Record<string, string | undefined> = {};
  const { host } = createHost({ env, cwd });
  return { env, load: (named?: string) => loadEnvFile(host, named) };
}
