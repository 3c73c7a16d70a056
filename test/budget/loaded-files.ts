// Which files a run of the built binary evaluates, and which packages these are made of.

import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';
import config from '../../rolldown.config.ts';

export interface LoadedFile {
  /** From the repository's root. */
  readonly path: string;
  readonly bytes: number;
  /** npm packages that it holds code of, or is a file of. */
  readonly packages: readonly string[];
}

/** Calls `run` with variables that make Node tell what it evaluates; files outside of the repository are left out. */
export async function listLoadedFiles(
  run: (env: Readonly<Record<string, string>>) => Promise<unknown>,
): Promise<readonly LoadedFile[]> {
  const folder = await mkdtemp(join(tmpdir(), 'alteration-test-'));
  try {
    // Of code that comes from the compile cache V8 does not tell everything.
    await run({ NODE_V8_COVERAGE: folder, NODE_DISABLE_COMPILE_CACHE: '1' });
    const packagesOfChunk = await readPackagesOfChunks();
    const root = resolve('.') + sep;
    const paths = (await readEvaluated(folder)).filter((path) => path.startsWith(root));
    if (paths.length === 0) throw new Error('Node has not told what it has evaluated.');
    return Promise.all(
      paths.sort().map(async (path) => ({
        path: relative(root, path),
        bytes: (await stat(path)).size,
        packages: packagesOf(relative(root, path), packagesOfChunk),
      })),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readEvaluated(folder: string): Promise<readonly string[]> {
  const paths = new Set<string>();
  for (const name of await readdir(folder)) {
    const { result } = JSON.parse(await readFile(join(folder, name), 'utf8')) as {
      readonly result: readonly { readonly url: string }[]; // as V8's protocol has it
    };
    for (const { url } of result) if (url.startsWith('file:')) paths.add(fileURLToPath(url));
  }
  return [...paths];
}

type PackagesOfChunk = ReadonlyMap<string, readonly string[]>;

/** Bundles once more, in memory, as what is written does not tell: chunks bear a hash, and so the same ones their names. */
async function readPackagesOfChunks(): Promise<PackagesOfChunk> {
  const packages = new Map<string, readonly string[]>();
  for (const options of [config].flat()) {
    const bundle = await rolldown(options);
    for (const { output } of await Promise.all(
      [options.output ?? {}].flat().map(bundle.generate.bind(bundle)),
    )) {
      for (const part of output) {
        if (part.type !== 'chunk') continue;
        const modules = Object.entries(part.modules).filter(([, { renderedLength }]) => renderedLength > 0);
        packages.set(join('dist', part.fileName), [
          ...new Set(modules.flatMap(([id]) => packageOf(id) ?? [])),
        ]);
      }
    }
    await bundle.close();
  }
  return packages;
}

function packagesOf(path: string, packagesOfChunk: PackagesOfChunk): readonly string[] {
  const installed = packageOf(`/${path}`);
  if (installed !== undefined) return [installed];
  const bundled = packagesOfChunk.get(path);
  if (bundled === undefined) throw new Error(`"${path}" is not what the sources are bundled to.`);
  return bundled;
}

function packageOf(path: string): string | undefined {
  return path.match(/^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1];
}
