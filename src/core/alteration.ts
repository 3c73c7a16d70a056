import { compareVersions, type Version } from './version.ts';

/** One step of the schema's history, as the name of its file tells it. */
export interface Alteration {
  /** Identity: the timestamp in canonical form, `1674032095` or `1674032095.3`. */
  readonly id: string;
  readonly version: Version;
  /** Unix seconds. */
  readonly seconds: number;
  /** Tells alterations of the same second apart; 0 without a suffix. */
  readonly suffix: number;
  /** kebab-case words, for people. */
  readonly name: string;
  /** File name in the alterations folder; of a pair, the `.up.sql`. */
  readonly file: string;
  readonly format: 'module' | 'sql';
  /** The `.down.sql` of a pair. */
  readonly downFile?: string;
}

/** What places an alteration in the history's order. */
export type Ordered = Pick<Alteration, 'version' | 'seconds' | 'suffix'>;

/** Orders by version, then timestamp. */
export function compareAlterations(left: Ordered, right: Ordered): number {
  return (
    compareVersions(left.version, right.version) || left.seconds - right.seconds || left.suffix - right.suffix
  );
}

/** Canonical identity of a (seconds, suffix) pair. */
export function alterationId(seconds: number, suffix: number): string {
  return suffix === 0 ? String(seconds) : `${seconds}.${suffix}`;
}

const identity = /^(\d{1,10})(?:\.(\d{1,9}))?$/;

/** Seconds and suffix of an identity; undefined when it is not one. */
export function parseAlterationId(id: string): { seconds: number; suffix: number } | undefined {
  const match = identity.exec(id);
  return match ? { seconds: Number(match[1]), suffix: Number(match[2] ?? 0) } : undefined;
}
