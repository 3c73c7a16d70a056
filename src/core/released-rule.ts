import type { Alteration } from './alteration.ts';
import type { Problem } from './errors.ts';

/** An alteration as it was released. */
export interface Released {
  readonly alteration: Alteration;
  /** What made it a release, as the predicate of a sentence: `was released with v1.4.0`. */
  readonly origin: string;
}

/** A released alteration that is still there, and what it is now. */
export interface Kept<R extends Released = Released> {
  readonly released: R;
  readonly now: Alteration;
}

/** One way in which a released alteration is not what it was. */
export type Edit =
  | { readonly kind: 'content'; readonly file: string }
  | { readonly kind: 'import'; readonly file: string }
  | { readonly kind: 'no-way-back'; readonly file: string; readonly downFile: string };

/**
 * Finds each released alteration among those of the folder again. One that is gone, or has another version, is a
 * problem. `claimed` are the identities in the folder's file names, also of those that make no alteration.
 */
export function matchReleased<R extends Released>(
  released: readonly R[],
  alterations: readonly Alteration[],
  claimed: ReadonlySet<string>,
): { readonly kept: readonly Kept<R>[]; readonly problems: readonly Problem[] } {
  const byId = new Map(alterations.map((alteration) => [alteration.id, alteration]));
  const kept: Kept<R>[] = [];
  const problems: Problem[] = [];
  for (const one of released) {
    const now = byId.get(one.alteration.id);
    if (now === undefined) {
      if (!claimed.has(one.alteration.id)) problems.push(describeGone(one));
    } else if (now.version === one.alteration.version) kept.push({ released: one, now });
    else problems.push(describeMoved(one, now));
  }
  return { kept, problems };
}

/** What to say of an edit. */
export function describeEdit({ released: { origin }, now }: Kept, edit: Edit): Problem {
  const { file } = edit;
  switch (edit.kind) {
    case 'content':
      return {
        file,
        message: `"${file}" ${origin} and has been edited since; restore it, and put the change into a new alteration.`,
      };
    case 'import':
      return {
        file,
        message: `"${file}" ${origin}, and a file that it imports has been edited since; restore that file, and put the change into a new one beside it.`,
      };
    case 'no-way-back':
      return {
        file,
        message: `"${now.file}" ${origin} together with "${edit.downFile}", which is no longer there; restore it.`,
      };
  }
}

function describeGone({ alteration: { file }, origin }: Released): Problem {
  const message = `"${file}" ${origin} and is no longer there; restore it: the databases that have it applied would miss it.`;
  return { file, message };
}

function describeMoved({ alteration, origin }: Released, { file }: Alteration): Problem {
  const message = `"${file}" ${origin} as "${alteration.file}"; give it the version ${alteration.version} again.`;
  return { file, message };
}
