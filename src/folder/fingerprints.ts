import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Alteration } from '../core/alteration.ts';
import { type Checksums, checksumSql } from './checksum.ts';
import { visitInSlices } from './in-slices.ts';
import { sourceDigestFor } from './module-sources.ts';

/** What is cheaply known of files: the checksum of a SQL file, the digest of what a module is made of. */
export interface Fingerprints {
  /** Reads what is left to read of these. */
  readonly read: (alterations: readonly Alteration[]) => Promise<void>;
  /** Whether the file is for sure what had this checksum. Call it after its fingerprint was read. */
  readonly matches: (alteration: Alteration, recorded: RecordedChecksum) => boolean;
}

export interface RecordedChecksum {
  readonly checksum: string;
  readonly sourceDigest?: string | undefined;
}

/** Begins to read ahead, while nothing else needs the processor, until `read` says what is needed. */
export function readFingerprints(
  folder: string,
  { sources }: Checksums,
  ahead: readonly Alteration[] = [],
): Fingerprints {
  const known = new Map<string, string | undefined>();
  const visit = ({ file, format }: Alteration): void => {
    if (known.has(file)) return;
    const path = join(folder, file);
    known.set(file, format === 'module' ? sources.digest(path) : checksumOrNone(path));
  };
  let isAhead = true;
  const readingAhead = visitInSlices(ahead, visit, () => !isAhead);
  readingAhead.catch(() => undefined); // told by `read`, which a run that finds no database never calls
  return {
    read: async (alterations) => {
      isAhead = false;
      await readingAhead;
      await visitInSlices(alterations, visit);
    },
    matches: ({ file, format }, { checksum, sourceDigest }) => {
      const fingerprint = known.get(file);
      if (format === 'sql') return fingerprint === checksum;
      return sourceDigest !== undefined && sourceDigest === sourceDigestFor(checksum, fingerprint);
    },
  };
}

/** What cannot be read is told by who needs it. */
function checksumOrNone(path: string): string | undefined {
  try {
    return checksumSql(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}
