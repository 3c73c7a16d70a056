import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { alterationId } from '../core/alteration.ts';
import { UsageError } from '../core/errors.ts';
import { parseFileName } from '../core/file-name.ts';
import { next } from '../core/version.ts';
import { listFiles } from '../folder/list-alterations.ts';
import { renderTemplate, type TemplateKind } from '../folder/template.ts';
import { type DatabaseOptions, folderOf } from './options.ts';
import { type CreateReport, reportVersion } from './reports.ts';

export interface CreateOptions extends Pick<DatabaseOptions, 'folder'> {
  /** Words of any kind; they become kebab-case. */
  readonly name: string;
  /** Default `module`. */
  readonly kind?: TemplateKind;
}

/** Writes a new `next` alteration with a timestamp later than every existing one. Makes the folder if need be. */
export async function create(options: CreateOptions): Promise<CreateReport> {
  const name = toKebabCase(options.name);
  const folder = folderOf(options);
  await mkdir(folder, { recursive: true });
  const templates = renderTemplate(options.kind ?? 'module', name);
  for (;;) {
    const latest = Math.max(0, ...(await listTimestamps(folder)).map(({ seconds }) => seconds));
    const seconds = Math.max(Math.floor(Date.now() / 1_000), latest + 1);
    if (seconds > lastSecond) throw tooLate(latest);
    const id = alterationId(seconds, 0);
    const files = templates.map(({ ending, text }) => ({ file: `${next}-${id}-${name}${ending}`, text }));
    if (await writeUnique(folder, id, files)) {
      return { schemaVersion: reportVersion, command: 'create', id, files: files.map(({ file }) => file) };
    }
    await pause(Math.random() * 50);
  }
}

async function listTimestamps(folder: string) {
  return (await listFiles(folder))
    .map(parseFileName)
    .flatMap((parsed) => (parsed.kind === 'alteration' ? [parsed.alteration] : []));
}

/** False when another process has taken the timestamp at the same moment: whoever sees both gives way. */
async function writeUnique(
  folder: string,
  id: string,
  files: readonly { file: string; text: string }[],
): Promise<boolean> {
  const written: string[] = [];
  try {
    for (const { file, text } of files) {
      await writeFile(join(folder, file), text, { flag: 'wx' });
      written.push(join(folder, file));
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
  }
  const sameId = (await listTimestamps(folder)).filter((alteration) => alteration.id === id);
  if (written.length === files.length && sameId.length === files.length) return true;
  await Promise.all(written.map((path) => rm(path)));
  return false;
}

const lastSecond = 9_999_999_999; // ten digits

function tooLate(latest: number): UsageError {
  return new UsageError(`No timestamp of ten digits is later than the ${latest} of an existing alteration.`, {
    hint: 'Timestamps are unix seconds; rename that alteration.',
  });
}

function toKebabCase(words: string): string {
  const name = words
    .normalize('NFKD')
    .replace(/\p{Mark}/gu, '')
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  if (name !== '') return name;
  throw new UsageError(`"${words}" holds no letter or digit to name an alteration with.`, {
    hint: 'Say in a few words what it does: alteration create add-users.',
  });
}
