import { longestDurationMs, parseDuration } from '../core/duration.ts';
import { listTokens } from './sql-text.ts';

/** Whether the statements of a file run in one transaction with the history row, or each on its own. */
export type SqlMode = 'transaction' | 'no-transaction';

/** What a file says about how it wants to be run. */
export interface SqlSettings {
  readonly mode: SqlMode;
  /** PostgreSQL's lock_timeout for its statements, in milliseconds; absent: the run's. */
  readonly lockTimeoutMs?: number;
}

/** Something wrong at an offset (UTF-16 code units) of a file's text. */
export interface Finding {
  readonly offset: number;
  readonly message: string;
}

/** Each word with what it sets; undefined where its value makes no sense. */
const words: Readonly<Record<string, (value: string | undefined) => Partial<SqlSettings> | undefined>> = {
  'lock-timeout': (value) => {
    const lockTimeoutMs = parseDuration(value ?? '');
    return lockTimeoutMs === undefined || lockTimeoutMs > longestDurationMs ? undefined : { lockTimeoutMs };
  },
  'no-transaction': (value) => (value === undefined ? { mode: 'no-transaction' } : undefined),
};

/** Reads the `-- alteration: word word=value` comments above the first statement. */
export function readSqlSettings(text: string): { settings: SqlSettings; findings: readonly Finding[] } {
  let settings: SqlSettings = { mode: 'transaction' };
  const findings: Finding[] = [];
  for (const { offset, content, position } of listSettingComments(text)) {
    if (position === 'late') findings.push({ offset, message: late });
    else if (content === '')
      findings.push({ offset, message: `Nothing follows "-- alteration:"; ${known}.` });
    else {
      for (const entry of content.split(/\s+/)) {
        const setting = readSetting(entry);
        if (setting === undefined) findings.push({ offset, message: unknown(entry) });
        settings = { ...settings, ...setting };
      }
    }
  }
  return { settings, findings };
}

const known = 'it can say "no-transaction" and "lock-timeout=" with a duration such as 10s';
const late =
  'A comment "-- alteration:" has no effect after the start of the first statement; move it to the top of the file.';

function unknown(entry: string): string {
  return `"${entry}" means nothing after "-- alteration:"; ${known}.`;
}

function readSetting(entry: string): Partial<SqlSettings> | undefined {
  const [name = '', ...value] = entry.split('=');
  const read = Object.hasOwn(words, name) ? words[name] : undefined;
  return read?.(value.length === 0 ? undefined : value.join('='));
}

interface SettingComment {
  readonly offset: number;
  readonly content: string;
  readonly position: 'leading' | 'late';
}

function* listSettingComments(text: string): Generator<SettingComment> {
  if (!/--\s*alteration:/i.test(text)) return;
  let position: SettingComment['position'] = 'leading';
  for (const { kind, start, end } of listTokens(text)) {
    if (kind !== 'comment') position = 'late';
    const match = /^--\s*alteration:(.*)$/i.exec(text.slice(start, end));
    if (match !== null) yield { offset: start, content: (match[1] ?? '').trim(), position };
  }
}
