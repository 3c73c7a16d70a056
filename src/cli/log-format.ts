import type { OutputKind } from './ci/output-kind.ts';
import type { Host } from './host.ts';

export type LogFormat = 'pretty' | 'json';

/** The log format that was asked for, or that suits who reads stderr. */
export function chooseLogFormat(
  asked: LogFormat | undefined,
  output: OutputKind,
  { stderr }: Host,
): LogFormat {
  return asked ?? (stderr.isTTY || output !== 'plain' ? 'pretty' : 'json');
}
