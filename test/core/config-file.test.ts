import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readConfigFile } from '../../src/cli/config-file.ts';
import { ConfigurationError } from '../../src/core/errors.ts';
import { logtoRows } from '../../src/postgres/row-presets.ts';
import { refusalOf } from './refusal-of.ts';

describe('the config file', () => {
  it.each([
    ['alteration.config.ts', "const dir: string = 'db'; export default { dir };"],
    ['alteration.config.mts', "export default { dir: 'db' } satisfies object;"],
    ['alteration.config.js', "export default { dir: 'db' };"],
    ['alteration.config.mjs', "export default { dir: 'db' };"],
    ['alteration.config.json', '{ "dir": "db" }'],
  ])('may be %s', async (name, text) => {
    const cwd = await createProject({ [name]: text });

    const { given } = await readConfigFile(cwd, undefined);

    expect([...given]).toEqual([['dir', { value: 'db', source: `dir in ${name}` }]]);
  });

  it('may have TypeScript that is not erasable, and imports of its own', async () => {
    const cwd = await createProject({
      'folders.ts': "export enum Folder { Alterations = 'db' }",
      'alteration.config.ts':
        "import { Folder } from './folders.js'; export default { dir: Folder.Alterations };",
    });

    const { given } = await readConfigFile(cwd, undefined);

    expect(given.get('dir')?.value).toBe('db');
  });

  it('need not be there', async () => {
    const cwd = await createProject({});

    expect(await readConfigFile(cwd, undefined)).toEqual({ given: new Map() });
  });

  it('is the TypeScript one where there are several', async () => {
    const cwd = await createProject({
      'alteration.config.json': '{ "dir": "json" }',
      'alteration.config.ts': "export default { dir: 'ts' };",
    });

    const { given } = await readConfigFile(cwd, undefined);

    expect(given.get('dir')?.value).toBe('ts');
  });

  it('is another one when one is named', async () => {
    const cwd = await createProject({ 'alteration.config.json': '{}', 'prod.json': '{ "dir": "prod" }' });

    const { given } = await readConfigFile(cwd, 'prod.json');

    expect([...given]).toEqual([['dir', { value: 'prod', source: 'dir in prod.json' }]]);
  });

  it('gives every setting that it may hold, whatever its value: they are parsed with the others', async () => {
    const settings = {
      dbUrl: 'postgres://db/app',
      dir: 7,
      historySchema: 'ops',
      historyTable: 'rows',
      lockWait: '5s',
      strictOrder: true,
      output: 'gitlab',
      logLevel: 'loud',
      logFormat: null,
    };
    const cwd = await createProject({ 'alteration.config.json': JSON.stringify(settings) });

    const { given } = await readConfigFile(cwd, undefined);

    expect(Object.fromEntries([...given].map(([name, { value }]) => [name, value]))).toEqual(settings);
  });
});

describe('a config file that cannot be', () => {
  it.each([
    ['absent though named', 'x.json', '{}', 'y.json', '"y.json" does not exist.'],
    ['a list', 'x.json', '[]', 'x.json', '"x.json" holds no settings; expected an object.'],
    ['null', 'x.json', 'null', 'x.json', '"x.json" holds no settings; expected an object.'],
    [
      'without a default export',
      'x.js',
      "export const dir = 'db';",
      'x.js',
      '"x.js" holds no settings; expected an object as its default export.',
    ],
    [
      'a function',
      'x.ts',
      'export default () => ({});',
      'x.ts',
      '"x.ts" holds no settings; expected an object as its default export.',
    ],
    [
      'a module that throws',
      'x.js',
      "throw new Error('boom.\\nmore');",
      'x.js',
      '"x.js" cannot be loaded: boom.',
    ],
    ['a module that throws a text', 'x.js', "throw 'boom';", 'x.js', '"x.js" cannot be loaded: boom.'],
  ])('is refused: %s', async (_, name, text, named, complaint) => {
    const cwd = await createProject({ [name]: text });

    const refusal = await refusalOf(ConfigurationError, () => readConfigFile(cwd, named));

    expect(refusal.message).toBe(`The config file ${complaint}`);
  });

  it('is refused: JSON with a mistake, with its place', async () => {
    const cwd = await createProject({ 'alteration.config.json': '{\n  dir: 1\n}' });

    const refusal = await refusalOf(ConfigurationError, () => readConfigFile(cwd, undefined));

    expect(refusal.message).toContain('"alteration.config.json" cannot be loaded');
    expect(refusal.message).toContain('line 2 column 3');
  });

  it('is refused: unknown settings, all at once, with what was meant', async () => {
    const cwd = await createProject({
      'alteration.config.json': '{ "lockwait": "5s", "dryRun": true, "dir": "db", "row": "logto" }',
    });

    const refusal = await refusalOf(ConfigurationError, () => readConfigFile(cwd, undefined));

    expect(refusal).toMatchObject({
      message: '3 settings are wrong.',
      problems: [
        { message: '"lockwait" in "alteration.config.json" is no setting; did you mean "lockWait"?' },
        { message: '"dryRun" in "alteration.config.json" is no setting.' },
        { message: '"row" in "alteration.config.json" is no setting; did you mean "rows"?' },
      ],
      hint: 'Settings of a config file: dbUrl, dir, historySchema, historyTable, lockWait, lockTimeout, lockDeadline, grace, connectWait, keepalive, pooler, directUrl, strictOrder, atomic, output, logLevel, logFormat, rows.',
    });
  });
});

describe('rows in a config file', () => {
  it('are the preset for scripts of Logto', async () => {
    const cwd = await createProject({ 'alteration.config.json': '{ "rows": "logto" }' });

    const { rows, given } = await readConfigFile(cwd, undefined);

    expect(rows).toBe(logtoRows);
    expect([...given]).toEqual([]);
  });

  it("are slonik's interceptors and type parsers", async () => {
    const cwd = await createProject({
      'alteration.config.js': `export default {
        rows: { interceptors: [{ name: 'mine' }], typeParsers: [{ name: 'int8', parse: Number }] },
      };`,
    });

    const { rows } = await readConfigFile(cwd, undefined);

    expect(rows).toEqual({
      interceptors: [{ name: 'mine' }],
      typeParsers: [{ name: 'int8', parse: Number }],
    });
  });

  it.each([
    '"camel"',
    'true',
    'null',
    '{ "parsers": [] }',
    '{ "interceptors": [1] }',
    '{ "interceptors": {} }',
    '{ "typeParsers": [{ "name": "int8" }] }',
  ])('cannot be %s', async (rows) => {
    const cwd = await createProject({ 'alteration.config.json': `{ "rows": ${rows} }` });

    const refusal = await refusalOf(ConfigurationError, () => readConfigFile(cwd, undefined));

    expect(refusal.message).toBe(
      '"rows" in "alteration.config.json" is neither "logto" nor an object with slonik\'s interceptors and typeParsers.',
    );
  });
});

async function createProject(files: Readonly<Record<string, string>>): Promise<string> {
  const cwd = await mkdtemp(join(tmpdir(), 'alteration-test-'));
  onTestFinished(() => rm(cwd, { recursive: true, force: true }));
  await writeFile(join(cwd, 'package.json'), '{ "type": "module" }');
  for (const [name, text] of Object.entries(files)) await writeFile(join(cwd, name), text);
  return cwd;
}
