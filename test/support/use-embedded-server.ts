// A command that uses an embedded server until its stdin ends: `node use-embedded-server.ts <folder>`.

import { once } from 'node:events';
import { withEmbeddedServer } from '../../src/postgres/embedded-server.ts';

const [, , folder = ''] = process.argv;

await withEmbeddedServer(folder, async ({ connectionString }) => {
  process.stdout.write(`${connectionString}\n`);
  await once(process.stdin.resume(), 'end');
});
