// The schema of the Kubernetes API, with its strictness about fields that it does not know.

import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { Job } from 'kubernetes-models/batch/v1/Job';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { z } from 'zod';

const kinds = { Job, Deployment, ConfigMap };
const headSchema = z.object({ kind: z.enum(['Job', 'Deployment', 'ConfigMap']) });

/** What the API would refuse in an object: fields of a wrong type, missing ones, and ones that it does not know. */
export function findManifestProblems(manifest: unknown): readonly string[] {
  const head = headSchema.safeParse(manifest);
  if (!head.success) return [`no kind that is known here: ${JSON.stringify(manifest)}`];
  const { kind } = head.data;
  // The library's validators let unknown fields pass. But they look at each field that the schema has: what they have
  // not looked at, the schema does not know.
  const seen = new Set<string>();
  try {
    kinds[kind].prototype.validate.call(watchReads(manifest, '', seen));
  } catch (error) {
    return [`${kind}: ${error instanceof Error ? error.message : String(error)}`];
  }
  return listPaths(manifest, '')
    .filter((path) => !seen.has(path))
    .map((path) => `${kind}: ${path} is no field of the API`);
}

/** The same value; the path of each field that is read goes to `seen`. */
function watchReads(value: unknown, path: string, seen: Set<string>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  return new Proxy(value, {
    get(target, key) {
      const read: unknown = Reflect.get(target, key);
      if (typeof key === 'symbol') return read;
      const inner = `${path}/${key}`;
      seen.add(inner);
      return watchReads(read, inner, seen);
    },
  });
}

function listPaths(value: unknown, path: string): readonly string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [
    `${path}/${key}`,
    ...listPaths(inner, `${path}/${key}`),
  ]);
}
