import type { OutputStream } from '../host.ts';
import type { Progress } from '../progress.ts';

/** A marker of GitLab's job log; what follows the first one on its line is the header of the section. */
export function renderSectionMarker(edge: 'start' | 'end', name: string, unixSeconds: number): string {
  const [options, after] = edge === 'start' ? ['[collapsed=true]', ''] : ['', '\n'];
  return `\u001b[0Ksection_${edge}:${unixSeconds}:${name}${options}\r\u001b[0K${after}`;
}

/** Puts what is told of the plan's alterations into a section, whose header is the line of the plan. */
export function inSections(progress: Progress, stream: OutputStream, name: string): Progress {
  let open = false;
  const mark = (edge: 'start' | 'end') =>
    stream.write(renderSectionMarker(edge, name, Math.floor(Date.now() / 1000)));
  return {
    ...progress,
    onEvent: (event) => {
      if (event.type === 'planned' && event.total > 0 && !open) {
        open = true;
        mark('start');
      }
      progress.onEvent(event);
    },
    end: () => {
      progress.end();
      if (!open) return;
      open = false;
      mark('end');
    },
  };
}
