import type { AlterationScript } from 'postgres-alteration';
import { sql } from 'slonik';
import { createIndexConcurrently } from './utils/indexes.js';

// `add constraint … unique` would build its index while it holds off every reader and writer. Built concurrently
// beforehand, which no transaction may do, the index only has to be adopted: a moment's lock.
const alteration: AlterationScript = {
  beforeUp: async (connection) => {
    await createIndexConcurrently(connection, {
      name: 'users_primary_email_key',
      kind: 'unique',
      on: sql.fragment`users (primary_email)`,
    });
  },
  up: async (transaction) => {
    await transaction.query(sql.unsafe`
      alter table users
        add constraint users_primary_email_key unique using index users_primary_email_key
    `);
  },
  // The index belongs to the constraint now and goes with it.
  down: async (transaction) => {
    await transaction.query(sql.unsafe`alter table users drop constraint users_primary_email_key`);
  },
};

export default alteration;
