import { createPrivateKey, generateKeyPair, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { promisify } from 'node:util';

export interface SigningKeyEnvironment {
  readonly OIDC_COOKIE_KEYS?: string | undefined;
  readonly OIDC_PRIVATE_KEYS?: string | undefined;
  readonly OIDC_PRIVATE_KEY_PATHS?: string | undefined;
}

/** Each list begins with the key that signs, and is never empty. */
export interface SigningKeys {
  readonly cookieKeys: readonly string[];
  /** PEM, unencrypted, EC or RSA. */
  readonly privateKeys: readonly string[];
}

const defaultPath = './oidc-private-key.pem';

/**
 * Reads the keys that an instance was given by its environment, and generates what is not there. Paths are relative
 * to `folder`. No message of an error it throws contains a key, nor does the error carry a cause that might.
 */
export async function readSigningKeys(
  environment: SigningKeyEnvironment,
  folder: string,
): Promise<SigningKeys> {
  const cookieKeys = splitList(environment.OIDC_COOKIE_KEYS);
  const privateKeys = await readPrivateKeys(environment, folder);

  return {
    cookieKeys: cookieKeys.length > 0 ? cookieKeys : [randomBytes(32).toString('base64url')],
    privateKeys: privateKeys.length > 0 ? privateKeys : [await generatePrivateKey()],
  };
}

async function readPrivateKeys(
  environment: SigningKeyEnvironment,
  folder: string,
): Promise<readonly string[]> {
  const given = splitList(environment.OIDC_PRIVATE_KEYS);
  if (given.length > 0) {
    return unique(
      given.map((text, index) => parsePrivateKey(text, `Key ${index + 1} of "OIDC_PRIVATE_KEYS"`)),
    );
  }

  const named = splitList(environment.OIDC_PRIVATE_KEY_PATHS);
  return named.length > 0 ? readNamedFiles(named, folder) : readDefaultFile(folder);
}

async function readNamedFiles(paths: readonly string[], folder: string): Promise<readonly string[]> {
  const files = await Promise.all(
    paths.map(async (path) => ({ path, ...(await readKeyFile(path, folder)) })),
  );

  const problems = files.flatMap(({ path, problem }, index) =>
    problem === undefined ? [] : [`${describePath(path, index)} ${problem}`],
  );
  if (problems.length > 0) {
    throw new Error(`Correct or unset "OIDC_PRIVATE_KEY_PATHS": ${problems.join(', ')}.`);
  }
  return unique(
    files.map(({ path, text = '' }, index) =>
      parsePrivateKey(text, `The content of ${describePath(path, index)}`),
    ),
  );
}

async function readDefaultFile(folder: string): Promise<readonly string[]> {
  const { text, problem, isMissing } = await readKeyFile(defaultPath, folder);
  // Only a file that is not there means "no key yet": one that is there and cannot be read holds a key in use.
  if (isMissing) return [];
  if (text === undefined)
    throw new Error(`The file "${defaultPath}" ${problem}: make it readable, or move it away.`);
  return [parsePrivateKey(text, `The content of the file "${defaultPath}"`)];
}

interface KeyFile {
  readonly text?: string;
  readonly problem?: string;
  readonly isMissing: boolean;
}

async function readKeyFile(path: string, folder: string): Promise<KeyFile> {
  try {
    return { text: await readFile(resolve(folder, path), 'utf8'), isMissing: false };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    return code === 'ENOENT'
      ? { problem: 'does not exist', isMissing: true }
      : { problem: `cannot be read (${code})`, isMissing: false };
  }
}

/** Somebody may have put the key itself where its path belongs. */
function describePath(path: string, index: number): string {
  const looksLikeKey = /-----|[\r\n]|[A-Za-z0-9+/=]{100,}/.test(path);
  return looksLikeKey ? `entry ${index + 1} of "OIDC_PRIVATE_KEY_PATHS"` : `the file "${path}"`;
}

function parsePrivateKey(text: string, what: string): string {
  const pem = text.replaceAll(/(?:\\r)?\\n/g, '\n').trim();
  const type = readKeyType(pem);
  if (type === undefined) throw new Error(`${what} is not a private key: it has to be PEM and unencrypted.`);
  if (type !== 'ec' && type !== 'rsa') throw new Error(`${what} is of the type "${type}": use EC or RSA.`);
  return `${pem}\n`;
}

function readKeyType(pem: string): string | undefined {
  try {
    return createPrivateKey(pem).asymmetricKeyType;
  } catch {
    return undefined;
  }
}

async function generatePrivateKey(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('ec', {
    namedCurve: 'P-384',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  return privateKey;
}

function splitList(text: string | undefined): readonly string[] {
  return unique(
    (text ?? '')
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ''),
  );
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)];
}
