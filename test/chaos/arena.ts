import pg from 'pg';
import { type PgBouncer, startPgBouncer } from '../support/pgbouncer.ts';
import { type PrivateServer, startPrivateServer } from '../support/private-server.ts';
import { runQuery, urlOf } from './databases.ts';
import type { RunnerPlan, Way } from './plans.ts';
import { openSlowNetwork, type SlowNetwork } from './slow-network.ts';

/** The server with the ways to it. */
export interface Arena {
  readonly server: PrivateServer;
  /** Opens the way of a runner; its role on the server is its own, so that its sessions can be told from others. */
  readonly openWay: (plan: Pick<RunnerPlan, 'way' | 'number'>, database: string) => Promise<OpenWay>;
  /** Terminates one of the sessions of a role; tells whether there was one. */
  readonly terminate: (role: string, database: string, session: number) => Promise<boolean>;
  readonly describe: () => Promise<string>;
  readonly close: () => Promise<void>;
}

export interface OpenWay {
  readonly url: string;
  readonly role: string;
  /** Breaks the connections of this way; tells whether there were any. */
  readonly cut: () => boolean;
  readonly close: () => Promise<void>;
}

export const runnersAtMost = 4;
const password = 'chaos';
const slowMs = 6;

export async function openArena(ways: readonly Way[]): Promise<Arena> {
  const server = await startPrivateServer();
  const pooler = ways.includes('pooled') ? await openPooler(server) : undefined;
  await runQuery(server.url, roles());
  const watch = openWatch(server.url);
  return {
    server,
    openWay: (plan, database) => openWay(plan, database, server, pooler),
    terminate: (role, database, session) => watch.terminate(role, database, session),
    describe: async () => `${await server.readLog()}\n${pooler?.log().slice(-5_000) ?? ''}`,
    close: async () => {
      await watch.end();
      await pooler?.stop();
      await server.stop();
    },
  };
}

async function openPooler(server: PrivateServer): Promise<PgBouncer> {
  // After a failed login PgBouncer waits for 15 s; the server is back much sooner here.
  const settings = { default_pool_size: 20, server_login_retry: 1 };
  try {
    return await startPgBouncer({ serverUrl: server.url, poolMode: 'transaction', settings });
  } catch (error) {
    await server.stop();
    throw error;
  }
}

function roles(): string {
  const names = (['direct', 'pooled'] as const).flatMap((way) =>
    Array.from({ length: runnersAtMost }, (_, index) => `${way}_${index + 1}`),
  );
  return names.map((name) => `create role ${name} superuser login password '${password}';`).join('\n');
}

async function openWay(
  { way, number }: Pick<RunnerPlan, 'way' | 'number'>,
  database: string,
  server: PrivateServer,
  pooler: PgBouncer | undefined,
): Promise<OpenWay> {
  const role = `${way === 'pooled' ? 'pooled' : 'direct'}_${number}`;
  const network = way === 'slow' ? await openSlowNetwork(server.port, slowMs) : undefined;
  const url = new URL(way === 'pooled' && pooler ? pooler.url(database) : urlOf(server.url, database));
  url.username = role;
  url.password = password;
  if (network) url.port = String(network.port);
  return { url: url.href, role, ...endsOf(network) };
}

function endsOf(network: SlowNetwork | undefined): Pick<OpenWay, 'cut' | 'close'> {
  return {
    cut: () => network?.cut() ?? false,
    close: async () => network?.close(),
  };
}

/** A session that stays: to make one first would have a kill come late. */
function openWatch(url: string) {
  let client: pg.Client | undefined;
  const connected = async () => {
    if (client) return client;
    const fresh = new pg.Client({ connectionString: url, query_timeout: 10_000 });
    const forget = () => {
      if (client === fresh) client = undefined;
    };
    fresh.on('error', forget);
    fresh.on('end', forget);
    await fresh.connect();
    client = fresh;
    return fresh;
  };
  return {
    terminate: async (role: string, database: string, session: number): Promise<boolean> => {
      try {
        const { rows } = await (await connected()).query<{ ended: boolean }>(terminateText, [
          role,
          database,
          session,
        ]);
        return rows[0]?.ended ?? false;
      } catch {
        return false; // the server is being restarted, which ends the session as well
      }
    },
    end: async () => client?.end(),
  };
}

const terminateText = `
  select pg_terminate_backend(pid) as ended
  from (
    select pid, row_number() over (order by backend_start, pid) - 1 as place, count(*) over () as total
    from pg_stat_activity
    where usename = $1 and datname = $2 and backend_type = 'client backend'
  ) as s
  where place = $3::int % total`;
