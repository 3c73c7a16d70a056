import { styleText } from 'node:util';
import type { Host, OutputStream } from './host.ts';

type Paint = (text: string) => string;

/** The colours of the screen, or none. */
export interface Palette {
  readonly good: Paint;
  readonly bad: Paint;
  readonly notice: Paint;
  readonly quiet: Paint;
  readonly strong: Paint;
}

export function createPalette(colours: 'on' | 'off'): Palette {
  const paint = (style: 'green' | 'red' | 'yellow' | 'dim' | 'bold'): Paint =>
    colours === 'on' ? (text) => styleText(style, text, { validateStream: false }) : (text) => text;
  return {
    good: paint('green'),
    bad: paint('red'),
    notice: paint('yellow'),
    quiet: paint('dim'),
    strong: paint('bold'),
  };
}

/** Flag, then FORCE_COLOR, then NO_COLOR, then whether the stream is a terminal that has colours. */
export function choosePalette(flag: boolean | undefined, env: Host['env'], stream: OutputStream): Palette {
  return createPalette(wantsColours(flag, env, stream) ? 'on' : 'off');
}

function wantsColours(flag: boolean | undefined, env: Host['env'], stream: OutputStream): boolean {
  if (flag !== undefined) return flag;
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined && forced !== '') return forced !== '0' && forced !== 'false';
  if (env['NO_COLOR']) return false;
  return stream.isTTY && env['TERM'] !== 'dumb';
}
