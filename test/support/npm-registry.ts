import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** An npm registry on this machine: its own packages, and those that this repository has in node_modules. */
export interface NpmRegistry {
  readonly url: string;
  /** What was asked of it, as `name` and `name@version`. */
  readonly requests: readonly string[];
  readonly close: () => Promise<void>;
}

/** Starts one that knows also these packages, by the folders that they are in. */
export async function startNpmRegistry(own: Readonly<Record<string, string>>): Promise<NpmRegistry> {
  const scratch = await mkdtemp(join(tmpdir(), 'alteration-registry-'));
  const requests: string[] = [];
  const answer = async ({ url = '/' }: IncomingMessage, response: ServerResponse) => {
    const [name = '', version] = decodeURIComponent(url).slice(1).split('/-/');
    requests.push(version === undefined ? name : `${name}@${version}`);
    const folders = own[name] === undefined ? await findInstalled(name) : [own[name]];
    if (version === undefined) response.end(JSON.stringify(await describePackage(name, folders, base)));
    else response.end(await packFolder(await folderOf(folders, version), scratch));
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.statusCode = 404;
      response.end(JSON.stringify({ error: String(error) }));
    });
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const address = server.address();
  const base = typeof address === 'object' ? `http://127.0.0.1:${address?.port}` : '';
  return {
    url: `${base}/`,
    requests,
    close: async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

interface Manifest {
  readonly version: string;
}

async function readManifest(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
}

/** Every version of it that the lock file has in node_modules, also below another package. */
async function findInstalled(name: string): Promise<readonly string[]> {
  const lock: { packages: Record<string, unknown> } = JSON.parse(await readFile('package-lock.json', 'utf8'));
  const places = Object.keys(lock.packages).filter((place) => place.endsWith(`node_modules/${name}`));
  if (places.length === 0) throw new Error(`There is no package "${name}".`);
  return places.map((place) => resolve(place));
}

async function describePackage(name: string, folders: readonly string[], base: string): Promise<object> {
  const versions: Record<string, object> = {};
  for (const folder of folders) {
    const manifest = await readManifest(folder);
    const dist = { tarball: `${base}/${name}/-/${manifest.version}` };
    versions[manifest.version] = { ...manifest, name, dist };
  }
  return { name, 'dist-tags': { latest: Object.keys(versions).at(-1) }, versions };
}

async function folderOf(folders: readonly string[], version: string): Promise<string> {
  for (const folder of folders) {
    if ((await readManifest(folder)).version === version) return folder;
  }
  throw new Error(`There is no version ${version}.`);
}

/** What `npm pack` would make of a folder whose files are all to be in it. */
async function packFolder(folder: string, scratch: string): Promise<Buffer> {
  const place = await mkdtemp(join(scratch, 'pack-'));
  await mkdir(join(place, 'package'));
  await cp(folder, join(place, 'package'), {
    recursive: true,
    filter: (path) => path === folder || basename(path) !== 'node_modules',
  });
  await run('tar', ['-czf', join(place, 'package.tgz'), '-C', place, 'package']);
  return readFile(join(place, 'package.tgz'));
}

/** Unpacks what `npm pack` makes of this repository into the folder; `dist` must have been built. */
export async function packRepository(folder: string): Promise<void> {
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder]);
  await run('tar', ['-xzf', join(folder, stdout.trim()), '-C', folder, '--strip-components=1']);
  await rm(join(folder, stdout.trim()));
}

/** A package `node` like npm's: its program is the Node of this process, and says in NODE_FROM that it was it. */
export async function writeNodePackage(folder: string, version: string): Promise<void> {
  await mkdir(join(folder, 'bin'), { recursive: true });
  await writeFile(
    join(folder, 'package.json'),
    JSON.stringify({ name: 'node', version, bin: { node: 'bin/node' } }),
  );
  const program = `#!/bin/sh\nNODE_FROM='node@${version} of npm' exec '${process.execPath}' "$@"\n`;
  await writeFile(join(folder, 'bin', 'node'), program, { mode: 0o755 });
}
