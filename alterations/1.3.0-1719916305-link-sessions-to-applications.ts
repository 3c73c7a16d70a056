import type { AlterationScript } from 'postgres-alteration';
import { sql } from 'slonik';
import { createIndexConcurrently, dropIndexConcurrently } from './utils/indexes.ts';

const index = 'sessions_application_id_idx';

const alteration: AlterationScript = {
  // Without it, deleting an application would read every session.
  beforeUp: async (connection) => {
    await createIndexConcurrently(connection, {
      name: index,
      kind: 'plain',
      on: sql.fragment`sessions (application_id)`,
    });
  },
  // `not valid` again: sessions of applications that are long gone may be there. 1.4.0 clears up and validates.
  up: async (transaction) => {
    await transaction.query(sql.unsafe`
      alter table sessions
        add constraint sessions_application_id_fkey
        foreign key (application_id) references applications (id) on delete cascade
        not valid
    `);
  },
  beforeDown: async (connection) => {
    await dropIndexConcurrently(connection, index);
  },
  down: async (transaction) => {
    await transaction.query(sql.unsafe`alter table sessions drop constraint sessions_application_id_fkey`);
  },
};

export default alteration;
