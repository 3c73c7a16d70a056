import { closeSync, constants, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';

/** Kubernetes reads no more of it. */
const mostBytes = 4096;

/**
 * Writes how it ended to the file that Kubernetes shows of a container that has ended. Where there is no such file, or
 * none that can be written, there is nobody to tell: it is never created, and nothing fails for it.
 */
export function writeTerminationLog(path: string, message: string): void {
  try {
    // O_NONBLOCK: a pipe that nobody reads would keep the process waiting.
    const file = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      if (!fstatSync(file).isFile()) return;
      ftruncateSync(file);
      writeSync(file, cutText(message, mostBytes));
    } finally {
      closeSync(file);
    }
  } catch {
    // its exit code and its log tell it too
  }
}

/** As much of the text as the bytes have room for, in whole characters. */
export function cutText(text: string, bytes: number): string {
  if (Buffer.byteLength(text) <= bytes) return text;
  let room = bytes - Buffer.byteLength('…');
  let end = 0;
  for (const character of text) {
    room -= Buffer.byteLength(character);
    if (room < 0) break;
    end += character.length;
  }
  return `${text.slice(0, end)}…`;
}
