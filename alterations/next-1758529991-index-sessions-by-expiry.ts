import type { AlterationScript } from 'postgres-alteration';
import { sql } from 'slonik';
import { createIndexConcurrently, dropIndexConcurrently } from './utils/indexes.ts';

const index = 'sessions_expires_at_idx';

const alteration: AlterationScript = {
  // For `prune_sessions`, which had to read the whole table.
  beforeUp: async (connection) => {
    await createIndexConcurrently(connection, {
      name: index,
      kind: 'plain',
      on: sql.fragment`sessions (expires_at)`,
    });
  },
  up: async (transaction) => {
    await transaction.query(sql.unsafe`
      comment on index ${sql.identifier([index])} is 'Serves prune_sessions().'
    `);
  },
  beforeDown: async (connection) => {
    await dropIndexConcurrently(connection, index);
  },
  // `beforeDown` has done it all: the comment went with the index.
  down: async () => {},
};

export default alteration;
