import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { readSigningKeys } from '../../alterations/utils/signing-keys.ts';

const ec = createKey('P-384');
const ecOther = createKey('P-256');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
  .privateKey.export({ type: 'pkcs1', format: 'pem' })
  .toString();

const parent = await mkdtemp(join(tmpdir(), 'signing-keys-'));
let folder = parent;

beforeEach(async () => {
  folder = await mkdtemp(join(parent, 'case-'));
});

afterAll(async () => {
  await rm(parent, { recursive: true });
});

describe('cookie keys', () => {
  test.each([
    ['one', 'a', ['a']],
    ['several, in their order', 'b,a', ['b', 'a']],
    ['blanks and a trailing comma', ' a , b ,', ['a', 'b']],
    ['the same twice', 'a,b,a', ['a', 'b']],
  ])('are read: %s', async (_, OIDC_COOKIE_KEYS, expected) => {
    const { cookieKeys } = await readSigningKeys({ OIDC_COOKIE_KEYS }, folder);

    expect(cookieKeys).toEqual(expected);
  });

  test.each([undefined, '', ' , '])('are generated anew each time where there is none (%j)', async (text) => {
    const first = await readSigningKeys({ OIDC_COOKIE_KEYS: text }, folder);
    const second = await readSigningKeys({ OIDC_COOKIE_KEYS: text }, folder);

    expect(first.cookieKeys).toEqual([expect.stringMatching(/^[\w-]{43}$/)]);
    expect(first.cookieKeys).not.toEqual(second.cookieKeys);
  });
});

describe('private keys', () => {
  test.each([
    ['one', ec, [ec]],
    ['EC and RSA, in their order', `${rsa},${ec}`, [rsa, ec]],
    ['a literal \\n for each line break', ec.replaceAll('\n', '\\n'), [ec]],
    ['a literal \\r\\n', ec.replaceAll('\n', '\\r\\n'), [ec]],
    ['no last line break, blanks around', ` ${ec.trim()} , ${ecOther.trim()},`, [ec, ecOther]],
    ['the same, written in two ways', `${ec},${ec.replaceAll('\n', '\\n')}`, [ec]],
  ])('are read from the environment: %s', async (_, OIDC_PRIVATE_KEYS, expected) => {
    const { privateKeys } = await readSigningKeys({ OIDC_PRIVATE_KEYS }, folder);

    expect(privateKeys).toEqual(expected);
  });

  test('from the environment go before files', async () => {
    const environment = { OIDC_PRIVATE_KEYS: ec, OIDC_PRIVATE_KEY_PATHS: 'missing.pem' };

    const { privateKeys } = await readSigningKeys(environment, folder);

    expect(privateKeys).toEqual([ec]);
  });

  test.each([undefined, '', ' '])(
    'are read from the named files when the environment has none (%j)',
    async (text) => {
      await writeFile(join(folder, 'new.pem'), ec);
      await writeFile(join(folder, 'old.pem'), rsa);
      const environment = {
        OIDC_PRIVATE_KEYS: text,
        OIDC_PRIVATE_KEY_PATHS: `new.pem, ${join(folder, 'old.pem')}`,
      };

      const { privateKeys } = await readSigningKeys(environment, folder);

      expect(privateKeys).toEqual([ec, rsa]);
    },
  );

  test.each([undefined, '', ','])(
    'are read from the default file when no path is given (%j)',
    async (paths) => {
      await writeFile(join(folder, 'oidc-private-key.pem'), rsa);

      const { privateKeys } = await readSigningKeys({ OIDC_PRIVATE_KEY_PATHS: paths }, folder);

      expect(privateKeys).toEqual([rsa]);
    },
  );

  test('are generated when there is no default file', async () => {
    const { privateKeys } = await readSigningKeys({}, folder);

    expect(privateKeys.map((key) => createPrivateKey(key).asymmetricKeyDetails)).toEqual([
      { namedCurve: 'secp384r1' },
    ]);
  });
});

describe('a key that cannot be read', () => {
  test('is an error that names every file that was asked for and is not there', async () => {
    await writeFile(join(folder, 'here.pem'), ec);

    const reading = readSigningKeys({ OIDC_PRIVATE_KEY_PATHS: 'a.pem,here.pem,keys/b.pem' }, folder);

    await expect(reading).rejects.toThrow(
      'Correct or unset "OIDC_PRIVATE_KEY_PATHS": ' +
        'the file "a.pem" does not exist, the file "keys/b.pem" does not exist.',
    );
  });

  test('is an error even if the file that was asked for has the default name', async () => {
    const reading = readSigningKeys({ OIDC_PRIVATE_KEY_PATHS: './oidc-private-key.pem' }, folder);

    await expect(reading).rejects.toThrow('the file "./oidc-private-key.pem" does not exist');
  });

  test('is an error, and not replaced, if the default file is there', async () => {
    await mkdir(join(folder, 'oidc-private-key.pem'));

    await expect(readSigningKeys({}, folder)).rejects.toThrow(
      'The file "./oidc-private-key.pem" cannot be read (EISDIR): make it readable, or move it away.',
    );
  });

  test('is an error that says which of several it is', async () => {
    const reading = readSigningKeys({ OIDC_PRIVATE_KEYS: `${ec},nonsense` }, folder);

    await expect(reading).rejects.toThrow(
      'Key 2 of "OIDC_PRIVATE_KEYS" is not a private key: it has to be PEM and unencrypted.',
    );
  });

  test('is an error that says which types there may be', async () => {
    const key = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

    const reading = readSigningKeys({ OIDC_PRIVATE_KEYS: key }, folder);

    await expect(reading).rejects.toThrow(
      'Key 1 of "OIDC_PRIVATE_KEYS" is of the type "ed25519": use EC or RSA.',
    );
  });
});

describe('no key appears in an error', () => {
  const cut = ec.slice(0, -60);
  const encrypted = createPrivateKey(rsa)
    .export({ type: 'pkcs1', format: 'pem', cipher: 'aes-128-cbc', passphrase: 'secret' })
    .toString();
  const base64 = ec.split('\n').slice(1, -2).join('');

  test.each([
    ['a key that was cut off', { OIDC_PRIVATE_KEYS: cut }],
    ['an encrypted key', { OIDC_PRIVATE_KEYS: encrypted }],
    ['a key without its armour', { OIDC_PRIVATE_KEYS: base64 }],
    ['a key in place of a path', { OIDC_PRIVATE_KEY_PATHS: ec }],
    ['a key in one line in place of a path', { OIDC_PRIVATE_KEY_PATHS: ec.replaceAll('\n', '\\n') }],
    ['an encrypted key in place of a path', { OIDC_PRIVATE_KEY_PATHS: encrypted }],
    ['a key without its armour in place of a path', { OIDC_PRIVATE_KEY_PATHS: base64 }],
  ])('%s', async (_, environment) => {
    const error = await readSigningKeys(environment, folder).catch((reason: unknown) => reason);

    expect(error).toBeInstanceOf(Error);
    const shown = error instanceof Error ? `${error.stack} ${JSON.stringify(error)} ${error.cause}` : '';
    expect(findPieces(shown, Object.values(environment).join())).toEqual([]);
  });

  test('nor the content of a file that holds something else', async () => {
    await writeFile(join(folder, 'broken.pem'), cut);

    const error = await readSigningKeys({ OIDC_PRIVATE_KEY_PATHS: 'broken.pem' }, folder).catch(String);

    expect(error).toBe(
      'Error: The content of the file "broken.pem" is not a private key: it has to be PEM and unencrypted.',
    );
  });
});

/** Runs of 16 characters of the secret that the text shows. */
function findPieces(text: string, secret: string): readonly string[] {
  return secret
    .split(/[^A-Za-z0-9+/=]+/)
    .flatMap((word) =>
      Array.from({ length: Math.max(0, word.length - 15) }, (_, at) => word.slice(at, at + 16)),
    )
    .filter((piece) => text.includes(piece));
}

function createKey(namedCurve: string): string {
  return generateKeyPairSync('ec', { namedCurve })
    .privateKey.export({ type: 'pkcs8', format: 'pem' })
    .toString();
}
