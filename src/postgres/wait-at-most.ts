/** What the work gives, or undefined when it takes longer. The process waits for it that long. */
export async function waitAtMost<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  const patience = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => patience.resolve(undefined), ms);
  return Promise.race([work, patience.promise]).finally(() => clearTimeout(timer));
}
