import type { Alteration } from './alteration.ts';
import type { Version } from './version.ts';

/** A row of the history: an alteration that was applied, or one that is half done or half taken back outside a transaction. */
export interface HistoryRow {
  /** Canonical timestamp, the identity. */
  readonly id: string;
  readonly seconds: number;
  readonly suffix: number;
  readonly version: Version;
  readonly name: string;
  readonly checksum: string;
  /** Of a module: what its text is known by, so that it need not be parsed for its checksum. */
  readonly sourceDigest?: string;
  readonly state: 'applied' | 'started' | 'reverting';
  readonly origin: RowOrigin;
  /** Digests of the statements done so far, of an alteration that is half done or half taken back. */
  readonly statementDigests: readonly string[];
  /** Digest of a statement that was begun and had done nothing of what it does before; its end is not known. */
  readonly statementUnderWay?: string;
}

/** Who wrote a row, and when. */
export interface RowOrigin {
  /** ISO 8601 with any offset, by the database's clock. */
  readonly appliedAt: string;
  readonly durationMs: number;
  readonly role: string;
  /** Host name of the runner; in Kubernetes the pod's. */
  readonly host: string;
  /** Version of the runner. */
  readonly runner: string;
  /** UUID shared by the rows of one deploy. */
  readonly deployId: string;
}

/** The database's history at one moment. */
export type History = readonly HistoryRow[];

/** Where a row and its file differ in version or name: the file was renamed since. */
export interface Renaming {
  readonly alteration: Alteration;
  readonly from: { readonly version: Version; readonly name: string };
}
