import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { withWire } from './wire.ts';

test('the wire counts what a client waits for once it is connected, and hears each query', async () => {
  const heard = await withWire(inject('serverUrl'), async ({ through, takeConversation }) => {
    const client = new pg.Client({ connectionString: through(inject('serverUrl')) });
    await client.connect();
    await client.query('select 1; select 2');
    await client.query('select $1::int', [3]); // several messages, sent together
    await client.end();
    return takeConversation();
  });

  expect(heard).toEqual({
    connections: 1,
    roundTrips: 2,
    queries: ['select 1; select 2', 'select $1::int'],
  });
});

test('what is sent without waiting for an answer is one round trip', async () => {
  const heard = await withWire(inject('serverUrl'), async ({ through, takeConversation }) => {
    const config = { connectionString: through(inject('serverUrl')), pipeline: true }; // not in its types
    const client = new pg.Client(config);
    await client.connect();
    await Promise.all([client.query('select 1'), client.query('select 2'), client.query('select 3')]);
    await client.end();
    return takeConversation();
  });

  expect(heard).toMatchObject({ roundTrips: 1, queries: expect.arrayContaining(['select 2', 'select 3']) });
});
