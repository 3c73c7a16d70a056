import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { examineNames } from '../../src/core/assemble-alterations.ts';
import { checksumSql, openChecksums } from '../../src/folder/checksum.ts';
import { readFingerprints } from '../../src/folder/fingerprints.ts';
import { visitInSlices } from '../../src/folder/in-slices.ts';
import { createFolder } from '../support/folder.ts';
import { type Files, withFolder } from '../support/module-folder.ts';

const alterationsOf = (files: Files) => examineNames(Object.keys(files)).alterations;

test.each([
  ['plain text', Buffer.from('select 1;\n')],
  ['a carriage return alone', Buffer.from('select 1;\rselect 2;')],
  ['line ends of Windows', Buffer.from('select 1;\r\nselect 2;')],
  ['a byte order mark', Buffer.from('\uFEFFselect 1;')],
  ['the first byte of a byte order mark', Buffer.from('\uFFFDselect 1;')],
  ['other letters', Buffer.from("select 'ü€😀';")],
  ['bytes that are no UTF-8', Buffer.from("select 'ü';", 'latin1')],
  ['nothing', Buffer.alloc(0)],
])('the checksum of a file is that of its text: %s', async (_, bytes) => {
  const folder = await createFolder({});
  await writeFile(join(folder, '1.0.0-1-a.sql'), bytes);
  const [alteration] = alterationsOf({ '1.0.0-1-a.sql': '' });
  if (!alteration) throw new Error('it is no alteration');
  const fingerprints = readFingerprints(folder, openChecksums(folder));

  await fingerprints.read([alteration]);

  const checksum = checksumSql(bytes.toString('utf8'));
  expect(fingerprints.matches(alteration, { checksum })).toBe(true);
  expect(fingerprints.matches(alteration, { checksum: `${checksum}0` })).toBe(false);
});

describe('fingerprints', () => {
  test('of SQL files are their checksums, however large the files are', async () => {
    const files = Object.fromEntries(
      [1, 2 ** 16 - 1, 2 ** 16, 2 ** 16 + 1, 2 ** 20].map((size, index) => [
        `1.0.0-${index + 1}-a.sql`,
        'x'.repeat(size),
      ]),
    );
    const alterations = alterationsOf(files);

    await withFolder(files, async (folder) => {
      const fingerprints = readFingerprints(folder, openChecksums(folder), alterations);
      await fingerprints.read(alterations);

      const matches = (change: string) =>
        alterations.map((one) =>
          fingerprints.matches(one, { checksum: checksumSql(`${files[one.file]}${change}`) }),
        );
      expect(matches('')).toEqual([true, true, true, true, true]);
      expect(matches('x')).toEqual([false, false, false, false, false]);
    });
  });

  test('of what cannot be read match nothing', async () => {
    const files = { '1.0.0-1-a.sql': '', '1.0.0-2-b.ts': '' };
    const alterations = alterationsOf(files);

    await withFolder({}, async (folder) => {
      const fingerprints = readFingerprints(folder, openChecksums(folder), alterations);
      await fingerprints.read(alterations);

      expect(alterations.map((one) => fingerprints.matches(one, { checksum: '' }))).toEqual([false, false]);
    });
  });

  test('are of files as they are when they are read: each one once', async () => {
    const files = { '1.0.0-1-a.sql': 'select 1;' };
    const alterations = alterationsOf(files);

    await withFolder(files, async (folder) => {
      const fingerprints = readFingerprints(folder, openChecksums(folder));
      await writeFile(join(folder, '1.0.0-1-a.sql'), 'select 2;');
      await fingerprints.read(alterations);
      await writeFile(join(folder, '1.0.0-1-a.sql'), 'select 3;');
      await fingerprints.read(alterations);

      expect(
        alterations.map((one) => fingerprints.matches(one, { checksum: checksumSql('select 2;') })),
      ).toEqual([true]);
    });
  });
});

describe('slices', () => {
  test('give timers, signals and sockets their turn between', async () => {
    const seen: (number | string)[] = [];
    const visiting = visitInSlices([1, 2, 3, 4], (item) => {
      const end = performance.now() + 10;
      while (performance.now() < end);
      seen.push(item);
    });
    setImmediate(() => seen.push('turn'));

    await visiting;

    expect(seen).toHaveLength(5);
    expect(seen.at(-1)).toBe(4);
  });

  test('end where they are told to', async () => {
    const seen: number[] = [];

    await visitInSlices(
      [1, 2, 3, 4],
      (item) => seen.push(item),
      () => seen.length === 2,
    );

    expect(seen).toEqual([1, 2]);
  });
});
