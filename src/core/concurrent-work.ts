/** A name as a statement says it; without a schema, `search_path` decides. */
export interface QualifiedName {
  readonly schema?: string;
  readonly name: string;
}

/**
 * A statement that PostgreSQL carries out in several transactions of its own, so as not to keep others waiting.
 * When it does not come to its end, what it had begun stays.
 */
export type ConcurrentWork =
  | {
      readonly kind: 'create-index';
      readonly table: QualifiedName;
      /** In the schema of its table; absent where PostgreSQL chooses it. */
      readonly index?: string;
    }
  | { readonly kind: 'drop-index'; readonly indexes: readonly QualifiedName[] }
  | ReindexWork
  | { readonly kind: 'detach-partition'; readonly table: QualifiedName; readonly partition: QualifiedName };

export type ReindexWork =
  | { readonly kind: 'reindex'; readonly scope: 'index' | 'table'; readonly name: QualifiedName }
  | { readonly kind: 'reindex'; readonly scope: 'schema'; readonly schema: string }
  /** The one that it is connected to, since PostgreSQL refuses any other. */
  | { readonly kind: 'reindex'; readonly scope: 'database' };
