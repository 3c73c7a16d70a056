import { isAbsolute, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The topmost place of an error's stack (or of one of its causes) that lies in the folder. */
export function findPlace(
  error: unknown,
  folder: string,
): { readonly file: string; readonly line: number; readonly column: number } | undefined {
  for (let current = error; current instanceof Error; current = current.cause) {
    for (const line of (current.stack ?? '').split('\n')) {
      const place = parseFrame(line, folder);
      if (place) return place;
    }
  }
  return undefined;
}

function parseFrame(text: string, folder: string) {
  const match = /(?:^|\(|\s)((?:file:\/\/)?[^\s()]*?):(\d+)(?::(\d+))?\)?$/.exec(text.trim());
  const [, location = '', line, column = '1'] = match ?? [];
  const path = location.startsWith('file://') ? fileURLToPath(location.replace(/[?#].*$/, '')) : location;
  const file = relative(folder, path);
  // `node:internal/…` and the like are no files, wherever the working directory is.
  if (!isAbsolute(path) || file === '' || file.startsWith('..') || file.split(sep).includes('node_modules'))
    return undefined;
  return /^([a-z]:|\/)/i.test(file) ? undefined : { file, line: Number(line), column: Number(column) };
}
