import type { Socket } from 'node:net';
import type pg from 'pg';

/** The client's own, which node-postgres's types do not tell; with TLS the one above the other. */
export function socketOf(client: pg.Client): Socket | undefined {
  const { connection } = client as unknown as { connection?: { stream?: Socket } };
  return connection?.stream;
}
