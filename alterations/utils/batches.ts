import { type DatabasePoolConnection, type DatabaseTransactionConnection, sql } from 'slonik';

const lowestId = '00000000-0000-0000-0000-000000000000';

/**
 * Updates a large table bit by bit, each batch in a transaction of its own. One `update` over all rows would keep
 * every one of them locked until its end, and the space of the old rows could not be used again before that.
 *
 * `updateBatch` updates some rows with an id greater than `after`, in the order of their ids, and returns the last
 * one; null ends it. By id rather than by offset, so that the last batch is as quick as the first.
 */
export async function updateInBatches(
  connection: DatabasePoolConnection,
  updateBatch: (transaction: DatabaseTransactionConnection, after: string) => Promise<string | null>,
): Promise<void> {
  let last: string | null = lowestId;
  while (last !== null) {
    const after: string = last;
    last = await connection.transaction(async (transaction) => {
      await transaction.query(sql.unsafe`set local identity.keep_updated_at = 'on'`);
      return updateBatch(transaction, after);
    });
  }
}
