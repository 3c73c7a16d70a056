import { join } from 'node:path';
import { renderSql, sortableName } from '../alteration.ts';
import { actionsOfScript, type Contestant } from './contestant.ts';
import { writeEach } from './write-each.ts';

export const postgrator: Contestant = {
  name: 'postgrator',
  kind: 'peer',
  package: 'postgrator',
  note: "its README's script with `pg`; a `.sql` file each",
  transactions: 'none',
  lock: 'none',
  history: 'public.schemaversion',
  historyCondition: 'version > 0',
  write: (folder, alterations) =>
    writeEach(join(folder, 'migrations'), alterations, (alteration) => ({
      name: `${sortableName(alteration, '.do.')}.sql`,
      text: renderSql(alteration),
    })),
  actions: actionsOfScript('postgrator', ['version', 'deploy', 'no-op']),
};
