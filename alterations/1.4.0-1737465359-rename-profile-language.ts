import type { AlterationScript } from 'postgres-alteration';
import { type FragmentSqlToken, sql } from 'slonik';
import { z } from 'zod';
import { updateInBatches } from './utils/batches.js';

const idRow = z.object({ id: z.uuid() });

// `profile.language`, "pt_BR", becomes `profile.locale`, "pt-BR". 1.3 already reads either and writes the old one.
const toLocale = sql.fragment`
  profile - 'language' || jsonb_build_object('locale', replace(profile ->> 'language', '_', '-'))
`;
const toLanguage = sql.fragment`
  profile - 'locale' || jsonb_build_object('language', replace(profile ->> 'locale', '-', '_'))
`;
const hasLanguage = sql.fragment`jsonb_typeof(profile -> 'language') = 'string'`;
const hasLocale = sql.fragment`jsonb_typeof(profile -> 'locale') = 'string'`;

const rewrite = (after: string, profile: FragmentSqlToken, condition: FragmentSqlToken) => sql.type(idRow)`
  with batch as (
    select id from users where id > ${after} and ${condition} order by id limit 1000 for update
  ), rewritten as (
    update users set profile = ${profile} from batch where users.id = batch.id
  )
  select id from batch order by id desc limit 1
`;

const alteration: AlterationScript = {
  beforeUp: async (connection) => {
    await updateInBatches(connection, async (transaction, after) =>
      transaction.maybeOneFirst(rewrite(after, toLocale, hasLanguage)),
    );
  },
  // No trigger helps here, so this takes the few rows that somebody wrote while the batches ran.
  up: async (transaction) => {
    await transaction.query(sql.unsafe`set local identity.keep_updated_at = 'on'`);
    await transaction.query(sql.unsafe`update users set profile = ${toLocale} where ${hasLanguage}`);
  },
  beforeDown: async (connection) => {
    await updateInBatches(connection, async (transaction, after) =>
      transaction.maybeOneFirst(rewrite(after, toLanguage, hasLocale)),
    );
  },
  down: async (transaction) => {
    await transaction.query(sql.unsafe`set local identity.keep_updated_at = 'on'`);
    await transaction.query(sql.unsafe`update users set profile = ${toLanguage} where ${hasLocale}`);
  },
};

export default alteration;
