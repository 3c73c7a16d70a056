import { expect, test } from 'vitest';
import { runCli } from '../support/cli.ts';
import { createDatabase } from '../support/database.ts';
import { createFolder } from '../support/folder.ts';

test('deploys a folder and then has nothing to do', async () => {
  const { url, query } = await createDatabase();
  const dir = await createFolder({
    '1.0.0-1-create-a.sql': 'create table a (id int);',
    '1.0.0-2-fill-a.ts': `import { sql } from 'slonik';
export default { up: async (c) => { await c.query(sql.unsafe\`insert into a values (1), (2)\`); } };`,
  });
  const options = { env: { DB_URL: url, ALTERATION_DIR: dir } };
  const first = await runCli(['deploy', '--json'], options);
  expect(first).toMatchObject({ exitCode: 0 });
  expect(await query('select count(*)::int as count from a')).toEqual([{ count: 2 }]);
  const second = await runCli(['deploy', '--json'], options);
  expect(JSON.parse(second.stdout)).toMatchObject({ applied: [] });
});
