import type { AlterationScript } from 'postgres-alteration';
import { sql } from 'slonik';
import { readSigningKeys } from './utils/signing-keys.js';

// Up to this version every instance read its keys from its own environment. From here on they are in the
// database; the environment is read once, here, so that the people who are signed in stay signed in.
const alteration: AlterationScript = {
  up: async (transaction) => {
    const { cookieKeys, privateKeys } = await readSigningKeys(process.env, process.cwd());

    await transaction.query(sql.unsafe`create type signing_key_purpose as enum ('cookie', 'private')`);
    // No constraint looks at `value`: PostgreSQL puts the values of a row that breaks one into its error message.
    await transaction.query(sql.unsafe`
      create table signing_keys (
        id uuid primary key default gen_random_uuid(),
        purpose signing_key_purpose not null,
        position integer not null,
        value text not null,
        created_at timestamptz not null default now(),
        constraint signing_keys_purpose_position_key unique (purpose, position)
      )
    `);
    await transaction.query(sql.unsafe`
      comment on column signing_keys.position is 'The first key signs; all of them verify.'
    `);

    const rows = [
      ...cookieKeys.map((value, position) => ['cookie', position, value]),
      ...privateKeys.map((value, position) => ['private', position, value]),
    ];
    await transaction.query(sql.unsafe`
      insert into signing_keys (purpose, position, value)
      select purpose::signing_key_purpose, position, value
      from ${sql.unnest(rows, ['text', 'int4', 'text'])} as keys (purpose, position, value)
    `);
  },
  // The environment still has the keys that came from there. A key that was generated is gone for good, and
  // whatever it signed with it: the older version starts with the keys of its environment, as it always did.
  down: async (transaction) => {
    await transaction.query(sql.unsafe`drop table signing_keys`);
    await transaction.query(sql.unsafe`drop type signing_key_purpose`);
  },
};

export default alteration;
