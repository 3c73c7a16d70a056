import { listTokens } from './sql-text.ts';

const patterns: readonly RegExp[] = [
  /^\s*set\s+(?!local\b|constraints\b|transaction\b)\S+(?:\s+\S+)?/i,
  /\bset_config\s*\((?:(?!,\s*true\s*\))[^;])*,\s*false\s*\)/i,
  /^\s*create\s+(?:(?:local|global)\s+)?temp(?:orary)?\b(?![\s\S]*\bon\s+commit\s+drop\b)/i,
  /^\s*(?:listen|prepare)\s+\S+/i,
  /\bpg_(?:try_)?advisory_lock(?:_shared)?\s*\(/i,
];

/**
 * What a statement makes of the session that it runs on, in its own words: a setting, a temporary object, an advisory
 * lock, … As far as the statement itself tells: a function that it calls may do the same.
 */
export function findSessionState(text: string): string | undefined {
  const blanked = blankComments(text);
  for (const pattern of patterns) {
    const [found] = pattern.exec(blanked) ?? [];
    if (found !== undefined) return found.trim().replace(/\s+/g, ' ').slice(0, 60);
  }
  return undefined;
}

function blankComments(text: string): string {
  let blanked = text;
  for (const { kind, start, end } of listTokens(text)) {
    if (kind === 'comment') blanked = blanked.slice(0, start) + ' '.repeat(end - start) + blanked.slice(end);
  }
  return blanked;
}
