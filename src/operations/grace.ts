import { longestDurationMs } from '../core/duration.ts';
import { StoppedError } from '../core/errors.ts';
import { defaultGraceMs, type RunOptions } from './options.ts';

/**
 * Calls `work` with the same options, but for `abandon`: it is aborted also when `stop` was, and the alteration under
 * way has not ended within its grace.
 */
export async function withGrace<O extends Pick<RunOptions, 'stop' | 'abandon' | 'graceMs'>, T>(
  options: O,
  work: (options: O & { readonly abandon: AbortSignal }) => Promise<T>,
): Promise<T> {
  const { stop, abandon, graceMs = defaultGraceMs } = options;
  const expired = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onStop = () => {
    const reason = stop?.reason instanceof StoppedError ? stop.reason : new StoppedError('a request to stop');
    timer = setTimeout(() => expired.abort(reason), Math.min(graceMs, longestDurationMs));
  };
  if (stop?.aborted) onStop();
  stop?.addEventListener('abort', onStop);
  try {
    const signal = abandon ? AbortSignal.any([abandon, expired.signal]) : expired.signal;
    return await work({ ...options, abandon: signal });
  } finally {
    clearTimeout(timer);
    stop?.removeEventListener('abort', onStop);
  }
}
