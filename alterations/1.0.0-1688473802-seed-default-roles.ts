import type { AlterationScript } from 'postgres-alteration';
import { sql } from 'slonik';

// Fixed ids, so that `down` takes away what `up` brought and never a role of the same name that was there before.
const roles = [
  ['1b4e28ba-2fa1-41d2-883f-0016d3cca427', 'admin', 'May do everything.'],
  ['6fa459ea-ee8a-4ca4-894e-db77e160355e', 'member', 'May sign in and edit the own profile.'],
];

const alteration: AlterationScript = {
  up: async (transaction) => {
    await transaction.query(sql.unsafe`
      insert into roles (id, name, description)
      select * from ${sql.unnest(roles, ['uuid', 'text', 'text'])}
      on conflict (name) do nothing
    `);
  },
  down: async (transaction) => {
    const ids = roles.map(([id]) => id ?? '');
    await transaction.query(sql.unsafe`delete from roles where id = any(${sql.array(ids, 'uuid')})`);
  },
};

export default alteration;
