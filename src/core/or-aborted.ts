/** The work's outcome, or the reason of the first signal that is aborted before. */
export async function orAborted<T>(
  work: Promise<T>,
  signals: readonly (AbortSignal | undefined)[],
): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const listeners = signals.map((signal) => {
    const onAbort = () => aborted.reject(signal?.reason);
    if (signal?.aborted) onAbort();
    signal?.addEventListener('abort', onAbort);
    return () => signal?.removeEventListener('abort', onAbort);
  });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    for (const remove of listeners) remove();
  }
}
