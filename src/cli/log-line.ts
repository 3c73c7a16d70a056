export type Level = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** From the most that is told to nothing. */
export const levels: readonly Level[] = ['debug', 'info', 'warn', 'error', 'silent'];

/** One line of the log for machines, in pino's shape. */
export function logLineOf(level: Level, facts: object, message: string): string {
  return `${JSON.stringify({ level, time: new Date().toISOString(), ...facts, msg: message })}\n`;
}
