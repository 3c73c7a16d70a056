import type { AlterationScript } from 'postgres-alteration';
import { sql } from 'slonik';
import { z } from 'zod';
import { updateInBatches } from './utils/batches.ts';

const idRow = z.object({ id: z.uuid() });

const alteration: AlterationScript = {
  // The trigger of the step before looks after every new write, so only older rows are left. To touch one is
  // enough: the trigger fills it in. In `beforeUp` each batch commits by itself, and a deploy that was
  // interrupted starts over without harm, because rows that are done no longer match.
  beforeUp: async (connection) => {
    await updateInBatches(connection, async (transaction, after) =>
      transaction.maybeOneFirst(sql.type(idRow)`
        with batch as (
          select id from users
          where id > ${after} and name is not null and given_name is null and family_name is null
          order by id
          limit 1000
          for update
        ), filled as (
          update users set name = users.name from batch where users.id = batch.id
        )
        select id from batch order by id desc limit 1
      `),
    );
  },
  // `not valid`: holds for every write from now on and looks at no row that is there, so the lock is short.
  // 1.2.0 validates it. Both in one transaction would keep the lock of this one for as long as the scan takes.
  up: async (transaction) => {
    await transaction.query(sql.unsafe`
      alter table users
        add constraint users_family_name_check check (family_name is null or given_name is not null) not valid
    `);
  },
  // What was filled in stays until the step before takes its columns back.
  down: async (transaction) => {
    await transaction.query(sql.unsafe`alter table users drop constraint users_family_name_check`);
  },
};

export default alteration;
