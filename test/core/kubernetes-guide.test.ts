import { access, readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { parseDuration } from '../../src/core/duration.ts';
import {
  containersOf,
  deploymentOf,
  jobOf,
  podOf,
  renderComponents,
  renderKustomization,
} from '../support/manifests.ts';

const production = 'deploy/kubernetes/overlays/production';
const guide = await readFile('docs/kubernetes.md', 'utf8');
const commands = blocksOf('sh')
  .flatMap((block) => block.replaceAll(/\\\n\s*/g, '').split('\n'))
  .filter((line) => line !== '');
const [manifests, hooked] = await Promise.all([
  renderKustomization(production),
  renderComponents(['helm-hooks']),
]);
const job = jobOf(manifests);
const deployment = deploymentOf(manifests);

describe('the guide for Kubernetes', () => {
  test.each(['docs/kubernetes.md', 'README.md', 'README.zh-CN.md'])(
    'the folders of the manifests that %s names are there',
    async (page) => {
      const text = await readFile(page, 'utf8');
      const paths = text.match(/(?<![\w./])deploy\/kubernetes[\w./-]*/g) ?? [];

      const missing = await Promise.all(paths.map(isMissing));

      expect(paths).not.toEqual([]);
      expect(paths.filter((_, index) => missing[index])).toEqual([]);
    },
  );

  test('every command is of kubectl, about the objects of the overlay', () => {
    const words = commands.flatMap((line) => line.split(/\s+/));
    const namespaces = words.filter((_, index) => words[index - 1] === '--namespace');
    const jobs = words.filter((word) => word.includes('product-alteration-'));

    expect(commands.filter((line) => !line.startsWith('kubectl '))).toEqual([]);
    expect(new Set(words.filter((word) => word.startsWith('deploy/kubernetes')))).toEqual(
      new Set([production]),
    );
    expect(new Set(jobs.map((word) => word.replace(/^(?:job\/|job-name=)/, '')))).toEqual(
      new Set([job.metadata?.name]),
    );
    expect(new Set(namespaces)).toEqual(new Set([job.metadata?.namespace]));
    expect(words).toContain(`deployment/${deployment.metadata?.name}`);
    expect(words).toContain(`app.kubernetes.io/name=${job.metadata?.labels?.['app.kubernetes.io/name']}`);
  });

  test('the Secrets that it creates are those that the pods use, with their keys', () => {
    const created = commands.flatMap((line) => {
      const name = /^kubectl create secret generic (\S+)/.exec(line)?.[1];
      const keys = [...line.matchAll(/--from-(?:literal|file)=([^=\s]+)/g)].map(([, key]) => key);
      return name ? keys.map((key) => `${name}/${key}`) : [];
    });
    const used = [job, deployment].flatMap((workload) => [
      ...containersOf(workload)
        .flatMap(({ env }) => env ?? [])
        .flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? [])
        .map(({ name, key }) => `${name}/${key}`),
      ...(podOf(workload).volumes ?? []).flatMap(({ secret }) =>
        (secret?.items ?? []).map(({ key }) => `${secret?.secretName}/${key}`),
      ),
    ]);

    expect(new Set(created)).toEqual(new Set(used));
  });

  test('it waits for longer than the Job and the rollout take', () => {
    const timeoutOf = (command: string) =>
      commands
        .filter((line) => line.startsWith(command))
        .map((line) => parseDuration(/--timeout=(\S+)/.exec(line)?.[1] ?? '') ?? 0);

    expect(Math.max(...timeoutOf('kubectl wait'))).toBeGreaterThan(
      Number(job.spec?.activeDeadlineSeconds) * 1_000,
    );
    expect(timeoutOf('kubectl rollout status')[0]).toBeGreaterThan(
      Number(deployment.spec?.progressDeadlineSeconds) * 1_000,
    );
  });

  test('the annotations for Helm are those of the component', () => {
    expect(blocksOf('yaml').map((block): unknown => parse(block))).toContainEqual({
      annotations: jobOf(hooked).metadata?.annotations,
    });
  });
});

/** The guide's code blocks in a language. */
function blocksOf(language: string): readonly string[] {
  return [...guide.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(
    ([, block = '']) => block,
  );
}

async function isMissing(path: string): Promise<boolean> {
  return access(path).then(
    () => false,
    () => true,
  );
}
