// What no runner on Node can do without.

import { actionsOfScript, type Contestant, runNode } from './contestant.ts';
import { psqlEach } from './psql.ts';

export const bareNode: Contestant = {
  ...psqlEach,
  name: 'bare-node',
  note: '`node -e 0`',
  guestOf: psqlEach,
  actions: { version: () => runNode(['-e', '0']) },
};

export const bareNodePg: Contestant = {
  ...psqlEach,
  name: 'bare-node-pg',
  package: 'pg',
  note: 'Node with `pg` as installed: connects, reads the history of psql-each in one query, ends',
  guestOf: psqlEach,
  actions: actionsOfScript('bare-node-pg', ['version', 'no-op', 'list']),
};
