import { join } from 'node:path';
import { renderSql, sortableName } from '../alteration.ts';
import { actionsOfScript, type Contestant } from './contestant.ts';
import { writeEach } from './write-each.ts';

export const umzug: Contestant = {
  name: 'umzug',
  kind: 'peer',
  package: 'umzug',
  note: 'a script with `pg` as context and a storage of 15 lines; a `.sql` file each',
  transactions: 'none',
  lock: 'none',
  history: 'public.umzug_migrations',
  write: (folder, alterations) =>
    writeEach(join(folder, 'migrations'), alterations, (alteration) => ({
      name: `${sortableName(alteration)}.up.sql`,
      text: renderSql(alteration),
    })),
  actions: actionsOfScript('umzug', ['version', 'deploy', 'no-op', 'list']),
};
