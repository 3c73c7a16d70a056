import type pg from 'pg';
import type { QueryAnswer } from './query.ts';
import type { Query } from './sql.ts';

/** A query of a batch. */
export interface BatchedQuery extends Query {
  /** Called when the server comes to it: those before it are done. It must not throw. */
  readonly onStart?: () => void;
  /** Whether it is answered as soon as it is done, though nobody is told when the next one begins. */
  readonly answersAtOnce?: boolean;
  /** Whether its rows are of no interest, however many they are. */
  readonly dropsRows?: boolean;
}

/** What a batch is rejected with. */
export class BatchFailure {
  readonly error: unknown;
  /** Number of its queries that were done before. */
  readonly done: number;

  constructor(error: unknown, done: number) {
    this.error = error;
    this.done = done;
  }
}

/**
 * Sends queries in one go, and calls back with their answers when all are done: one round trip. The server runs them
 * one after the other, and after an error none of those that follow; it rejects with a BatchFailure. Values come back as PostgreSQL's text.
 * What stands between a `start transaction` and its `commit` is a transaction, and so is what stands outside of one.
 */
export function sendBatch(
  client: pg.Client,
  queries: readonly BatchedQuery[],
): Promise<readonly QueryAnswer[]> {
  underWay.add(client);
  const answers = new Promise<readonly QueryAnswer[]>((resolve, reject) => {
    client.query(new Batch(queries, resolve, reject));
  });
  return answers.finally(() => underWay.delete(client));
}

const underWay = new WeakSet<pg.Client>();

/** Whether a batch is under way: what is sent to cancel it now hits nothing else. */
export function isInBatch(client: pg.Client): boolean {
  return underWay.has(client);
}

type Answer = { rows: Readonly<Record<string, string | null>>[]; rowCount: number | null };

// What node-postgres calls while the answers come in.
class Batch {
  readonly #queries: readonly BatchedQuery[];
  readonly #resolve: (answers: readonly QueryAnswer[]) => void;
  readonly #reject: (error: unknown) => void;
  readonly #answers: Answer[] = [];
  #names: readonly string[] = [];
  #rows: Answer['rows'] = [];

  constructor(
    queries: readonly BatchedQuery[],
    resolve: (answers: readonly QueryAnswer[]) => void,
    reject: (error: unknown) => void,
  ) {
    this.#queries = queries;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  submit(submitted: pg.Connection): null {
    const connection = submitted as unknown as WireConnection; // node-postgres's types do not tell it all
    connection.stream.cork?.();
    try {
      for (const [index, { sql: text, values, answersAtOnce = false }] of this.#queries.entries()) {
        connection.parse({ text, name: '', types: [] });
        connection.bind({ portal: '', statement: '', values, binary: false, valueMapper: toText });
        connection.describe({ type: 'P', name: '' });
        connection.execute({ portal: '', rows: 0 });
        // Otherwise the server keeps the answer until there is more to send.
        if (answersAtOnce || this.#queries[index + 1]?.onStart) connection.flush();
      }
      connection.sync();
    } finally {
      connection.stream.uncork?.();
    }
    this.#queries[0]?.onStart?.();
    return null;
  }

  handleRowDescription({ fields }: { readonly fields: readonly { readonly name: string }[] }): void {
    this.#names = fields.map(({ name }) => name);
  }

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    if (this.#queries[this.#answers.length]?.dropsRows) return;
    this.#rows.push(Object.fromEntries(this.#names.map((name, index) => [name, fields[index] ?? null])));
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    const count = /\d+$/.exec(text)?.[0];
    this.#finish(count === undefined ? null : Number(count));
  }

  handleEmptyQuery(): void {
    this.#finish(null);
  }

  #finish(rowCount: number | null): void {
    this.#answers.push({ rows: this.#rows, rowCount });
    this.#rows = [];
    this.#names = [];
    this.#queries[this.#answers.length]?.onStart?.();
  }

  handleError(error: unknown): void {
    this.#reject(new BatchFailure(error, this.#answers.length));
  }

  handleReadyForQuery(): void {
    this.#resolve(this.#answers);
  }

  handlePortalSuspended(): void {
    // no limit of rows is set
  }

  handleCopyInResponse(connection: WireConnection): void {
    connection.sendCopyFail('an alteration has no data to copy from');
  }

  handleCopyData(): void {
    // what is copied out goes nowhere
  }
}

function toText(value: unknown): string | null {
  return value === null ? null : String(value);
}

/** What node-postgres's connection has; its types do not tell. */
interface WireConnection {
  readonly stream: { readonly cork?: () => void; readonly uncork?: () => void };
  parse(message: { text: string; name: string; types: readonly number[] }): void;
  bind(message: {
    portal: string;
    statement: string;
    values: readonly unknown[];
    binary: boolean;
    valueMapper: (value: unknown) => string | null;
  }): void;
  describe(message: { type: 'P'; name: string }): void;
  execute(message: { portal: string; rows: number }): void;
  flush(): void;
  sync(): void;
  sendCopyFail(message: string): void;
}
