import { readFile } from 'node:fs/promises';
import { createRequire, findPackageJSON, isBuiltin } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import semver from 'semver';
import { describe, expect, test } from 'vitest';
import { listAlterations, listFiles } from '../../src/folder/list-alterations.ts';
import { failureOf } from '../support/failure-of.ts';
import { library } from '../support/library.ts';
import { logtoScripts } from '../support/logto.ts';
import { checksumModule } from '../support/module-folder.ts';

// Loaded by Node, as the library is: vitest would load the scripts by itself.
const { loadAlterations } = createRequire(import.meta.url)(
  '../../src/folder/load-alterations.ts',
) as typeof import('../../src/folder/load-alterations.ts'); // the same file

describe('the folder of Logto', () => {
  test('is listed as it is, in the order of versions and timestamps', async () => {
    const files = (await listFiles(logtoScripts.typescript)).filter((file) => file.endsWith('.ts'));
    const listed = (await listAlterations(logtoScripts.typescript)).map(({ file }) => file);
    expect(listed).toEqual(files.sort(compareNames));
    expect(listed).toHaveLength(261);
  });

  test('has the same alterations compiled to JavaScript', async () => {
    const [typescript, javascript] = await Promise.all([
      listAlterations(logtoScripts.typescript),
      listAlterations(logtoScripts.javascript),
    ]);
    expect(javascript).toEqual(typescript.map((one) => ({ ...one, file: one.file.replace(/\.ts$/, '.js') })));
  });
});

describe('the scripts of Logto', () => {
  test('have checksums that compilation keeps, each its own', async () => {
    const { typescript, javascript } = logtoScripts;
    const checksums = new Set<string>();
    const scripts = await listAlterations(typescript);
    for (const { file } of scripts) {
      const checksum = await checksumModule(join(typescript, file), typescript);
      const compiled = join(javascript, file.replace(/\.ts$/, '.js'));
      expect(await checksumModule(compiled, javascript), file).toBe(checksum);
      checksums.add(checksum);
    }
    expect(checksums.size).toBe(scripts.length);
  });

  test.for(['typescript', 'javascript'] as const)(
    'load in %s, but for those whose packages are not installed',
    async (language) => {
      const folder = logtoScripts[language];
      const scripts = await listAlterations(folder);
      const failure = await failureOf(loadAlterations(folder, scripts));
      expect(failure).toBeInstanceOf(library.UnusableAlterationError);
      expect(failure).toMatchObject({ problems: await describeMissing(folder, scripts) });
    },
  );

  test('can all go up and down', async () => {
    const folder = logtoScripts.javascript;
    const scripts = await listAlterations(folder);
    const unusable = await describeMissing(folder, scripts);
    const usable = scripts.filter(({ file }) => !unusable.some((problem) => problem.file === file));
    const loaded = await loadAlterations(folder, usable);
    expect(loaded).toHaveLength(scripts.length - unusable.length);
    expect(loaded).toEqual(loaded.map((one) => ({ ...one, script: expect.objectContaining(upAndDown) })));
  });
});

const upAndDown = { up: expect.any(Function), down: expect.any(Function) };

function compareNames(left: string, right: string): number {
  const [leftVersion = '', leftTime] = left.split('-');
  const [rightVersion = '', rightTime] = right.split('-');
  return (
    semver.compare(leftVersion.replace('_', '-'), rightVersion.replace('_', '-')) ||
    Number(leftTime) - Number(rightTime)
  );
}

/** The problem that each script with a missing package is to have. */
async function describeMissing(folder: string, scripts: readonly { readonly file: string }[]) {
  const missing = await Promise.all(
    scripts.map(async ({ file }) => ({ file, names: await missingPackages(join(folder, file)) })),
  );
  return missing.flatMap(({ file, names: [name] }) =>
    name ? [{ file, message: expect.stringContaining(`Cannot find module '${name}'`) }] : [],
  );
}

/** The packages that a script imports and that are not installed; imports of types do not count. */
async function missingPackages(file: string): Promise<readonly string[]> {
  const text = await readFile(file, 'utf8');
  const specifiers = [...text.matchAll(/^import (?!type )[^;]*? from '([^.'][^']*)'/gm)].map(
    ([, name = '']) => name,
  );
  return specifiers.filter((name) => !isBuiltin(name) && !isInstalled(name, file));
}

function isInstalled(name: string, from: string): boolean {
  try {
    return findPackageJSON(name, pathToFileURL(from)) !== undefined;
  } catch {
    return false;
  }
}
