import { access, readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';

const guides = (await readdir('docs')).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`);
const pages = ['README.md', 'README.zh-CN.md', 'CONTRIBUTING.md', ...guides];
const english = await readFile('README.md', 'utf8');
const chinese = await readFile('README.zh-CN.md', 'utf8');

describe('the documentation', () => {
  test.each(pages)('%s links to files and headings that there are', async (page) => {
    const links = relativeLinksOf(await readFile(page, 'utf8'));

    const broken = await Promise.all(links.map((link) => isBroken(page, link)));

    expect(links.filter((_, index) => broken[index])).toEqual([]);
  });

  test.each([
    ['## `deploy [target]`, or not', 'deploy-target-or-not'],
    ['## [Linked](x.md) *words_here*', 'linked-words_here'],
    ['# 在自己的产品里使用：a、b', '在自己的产品里使用ab'],
    ['```sh\n# no heading\n```\n# One', 'one'],
    ['# One\n## One', 'one one-1'],
  ])('the headings of %j have the anchors that GitHub gives them', (markdown, anchors) => {
    expect(anchorsOf(markdown).join(' ')).toBe(anchors);
  });
});

describe('README.zh-CN.md', () => {
  test('has the two commands that set up, as README.md has them', () => {
    const setUps = commandsOf(english).filter((line) => line.startsWith('npm ci'));

    expect(setUps).toHaveLength(2);
    expect(commandsOf(chinese).filter((line) => line.startsWith('npm ci'))).toEqual(setUps);
  });

  test('has no command that the English pages do not have', async () => {
    const texts = await Promise.all(guides.map((page) => readFile(page, 'utf8')));
    const known = new Set([english, ...texts].flatMap(commandsOf));

    expect(commandsOf(chinese).filter((line) => !known.has(line))).toEqual([]);
  });

  test('says of the same exit codes that they are worth a retry', () => {
    const translations = new Map([
      ['', ''],
      ['no', '否'],
      ['yes', '是'],
      ['after a look', '先看原因'],
    ]);

    const translated = exitCodesOf(english, '### Exit codes').map(([code, retry]) => [
      code,
      translations.get(retry),
    ]);

    expect(translated).toHaveLength(11);
    expect(exitCodesOf(chinese, '## 退出码')).toEqual(translated);
  });
});

async function isBroken(page: string, link: string): Promise<boolean> {
  const [path = '', anchor] = decodeURIComponent(link).split('#');
  const file = path === '' ? page : join(dirname(page), path);
  try {
    await access(file);
    return anchor !== undefined && !anchorsOf(await readFile(file, 'utf8')).includes(anchor);
  } catch {
    return true;
  }
}

function relativeLinksOf(markdown: string): readonly string[] {
  const text = withoutBlocks(markdown).replaceAll(/`[^`]*`/g, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link = '']) => link)
    .filter((link) => !/^[a-z]+:/.test(link));
}

/** By GitHub's rules: letters, digits, "_" and "-" of the words that are seen; a repetition is counted. */
function anchorsOf(markdown: string): readonly string[] {
  const seen = new Map<string, number>();
  return [...withoutBlocks(markdown).matchAll(/^#{1,6} +(.+)$/gm)].map(([, heading = '']) => {
    const words = heading.trim().replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const anchor = words
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, '')
      .replaceAll(' ', '-');
    const count = seen.get(anchor) ?? 0;
    seen.set(anchor, count + 1);
    return count === 0 ? anchor : `${anchor}-${count}`;
  });
}

function withoutBlocks(markdown: string): string {
  return markdown.replaceAll(/^ *```[\s\S]*?^ *```$/gm, '');
}

/** The lines of the blocks for shells and images, without their comments, which are in the page's language. */
function commandsOf(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^```(?:sh|dockerfile)\n([\s\S]*?)^```$/gm)]
    .flatMap(([, block = '']) => block.split('\n'))
    .map((line) => line.replace(/(?:^|\s)\s*# .*$/, '').trim())
    .filter((line) => line !== '');
}

/** The first and the last column of the table below a heading. */
function exitCodesOf(markdown: string, heading: string): readonly (readonly [string, string])[] {
  const [, section = ''] = markdown.split(`\n${heading}\n`);
  return [...section.matchAll(/^\| (\d[\d, ]*?) +\|.*\| *(.*?) *\|$/gm)].map(
    ([, code = '', retry = '']) => [code, retry] as const,
  );
}
