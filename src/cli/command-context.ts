import type { RowOptions } from '../postgres/connect.ts';
import type { Host } from './host.ts';
import type { Palette } from './palette.ts';
import type { Progress } from './progress.ts';
import type { GivenValue, Settings } from './settings.ts';

/** All that a command works with. */
export interface CommandContext {
  readonly host: Host;
  readonly settings: Settings;
  readonly rows: RowOptions | undefined;
  readonly argument: string | undefined;
  /** What stood on the command line itself, by the names of the settings. */
  readonly given: ReadonlyMap<string, GivenValue>;
  readonly progress: Progress;
  /** Of stdout. */
  readonly palette: Palette;
}
