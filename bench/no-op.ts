// What a deploy costs that finds nothing to do, against the floor: a bare Node that connects with pg and asks once.
//   npm run build && npm run bench --prefix bench
// Both run in turn against one embedded PostgreSQL with 1,000 applied alterations; medians and their ratio are told.

import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withEmbeddedServer } from '../src/postgres/embedded-server.ts';

const alterations = 1_000;
const rounds = 15;
const root = new URL('..', import.meta.url).pathname;
const floor = `
  import pg from 'pg';
  const client = new pg.Client({ connectionString: process.env.DB_URL });
  await client.connect();
  await client.query('select "timestamp", version, checksum from alteration_history');
  await client.end();`;

const work = await mkdtemp(join(tmpdir(), 'alteration-bench-'));
try {
  const dir = join(work, 'alterations');
  await mkdir(dir);
  for (let index = 1; index <= alterations; index += 1) {
    await writeFile(
      join(dir, `1.0.0-${index}-table-${index}.sql`),
      `create table t${index} (id int primary key);\n`,
    );
  }
  await withEmbeddedServer(join(work, 'server'), async ({ connectionString }) => {
    const env = { ...process.env, DB_URL: connectionString, ALTERATION_DIR: dir };
    const deploy = () => time([join(root, 'dist/bin.js'), 'deploy', 'latest', '--log-level', 'silent'], env);
    process.stdout.write(`deploy of ${alterations} alterations  ${deploy().toFixed(0)} ms\n`);
    const samples = Array.from({ length: rounds }, () => ({
      floor: time(['--input-type=module', '--eval', floor], env),
      deploy: deploy(),
    }));
    const floorMs = median(samples.map((sample) => sample.floor));
    const deployMs = median(samples.map((sample) => sample.deploy));
    process.stdout.write(`bare Node with pg         ${floorMs.toFixed(0)} ms\n`);
    process.stdout.write(
      `deploy, nothing to do     ${deployMs.toFixed(0)} ms, ratio ${(deployMs / floorMs).toFixed(2)}\n`,
    );
  });
} finally {
  await rm(work, { recursive: true, force: true });
}

function time(args: readonly string[], env: NodeJS.ProcessEnv): number {
  const start = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, env });
  if (status !== 0) throw new Error(stderr.toString());
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}
