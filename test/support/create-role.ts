import { randomBytes } from 'node:crypto';
import { onTestFinished } from 'vitest';
import type { TestDatabase } from './database.ts';

/** A role that may log in and what the statements give it; it goes with the test, and what it owns too. */
export async function createRole(
  { url, query }: TestDatabase,
  statements: (role: string) => string,
): Promise<{ readonly role: string; readonly url: string }> {
  const role = `role_${randomBytes(8).toString('hex')}`;
  await query(`create role ${role} login password 'secret'`);
  onTestFinished(async () => {
    await query(`drop owned by ${role} cascade; drop role ${role}`);
  });
  await query(statements(role));
  const source = new URL(url);
  source.username = role;
  source.password = 'secret';
  return { role, url: source.href };
}
