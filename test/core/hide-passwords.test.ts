import { describe, expect, it } from 'vitest';
import { hidePasswords, hidePasswordsIn } from '../../src/cli/hide-passwords.ts';

describe('the password of a URL', () => {
  it.each([
    ['postgres://u:S3CRET@h/db', 'postgres://u:***@h/db'],
    ['postgresql://u:S3CRET@h:5432/db?sslmode=require', 'postgresql://u:***@h:5432/db?sslmode=require'],
    ['postgres://:S3CRET@h/db', 'postgres://:***@h/db'],
    ['postgres://u:S3:C/R@E:T@h/db', 'postgres://u:***@h/db'],
    ['"postgres://u:S3CRET@h/db" is none', '"postgres://u:***@h/db" is none'],
    ['--db-url=postgres://u:S3CRET@h/db deploy', '--db-url=postgres://u:***@h/db deploy'],
    ['postgres://h/db?password=S3CRET', 'postgres://h/db?password=***'],
    ['postgres:///db?user=u&password=S3CRET&port=1', 'postgres:///db?user=u&password=***&port=1'],
    ['"postgres:///db?sslpassword=S3CRET" is none', '"postgres:///db?sslpassword=***" is none'],
    [
      'postgres://a:S3CRET@h/db and postgres://b:S3CRET@h/db',
      'postgres://a:***@h/db and postgres://b:***@h/db',
    ],
    ['"/tmp/postgres:/u:S3CRET@h/db" does not exist', '"/tmp/postgres:/u:***@h/db" does not exist'],
  ])('is hidden: %s', (text, hidden) => {
    expect(hidePasswords(text)).toBe(hidden);
  });

  it.each([
    'postgres://h/db',
    'postgres://u@h:5432/db',
    'no password, and a@b.example with 12:30',
    'password authentication failed for user "u"',
  ])('is not looked for elsewhere: %s', (text) => {
    expect(hidePasswords(text)).toBe(text);
  });

  it('is hidden everywhere in a document, which stays whole', () => {
    const url = 'postgres://h/db?password=S3CRET';
    const document = {
      message: `"${url}" is none.`,
      problems: [{ message: url, line: 3 }],
      done: [],
      none: null,
    };

    expect(hidePasswordsIn(document)).toEqual({
      message: '"postgres://h/db?password=***" is none.',
      problems: [{ message: 'postgres://h/db?password=***', line: 3 }],
      done: [],
      none: null,
    });
  });
});
