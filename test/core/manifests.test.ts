import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { exitCodes } from '../../src/cli/exit-code.ts';
import { parseArguments } from '../../src/cli/program.ts';
import { parseSettings, type SettingName, settingDefinitions, variablesOf } from '../../src/cli/settings.ts';
import {
  defaultConnectWaitMs,
  defaultGraceMs,
  defaultLockDeadlineMs,
  defaultLockWaitMs,
} from '../../src/operations/options.ts';
import { findManifestProblems } from '../support/manifest-schema.ts';
import {
  containerOf,
  containersOf,
  decidePodFailure,
  deploymentOf,
  jobOf,
  type Manifest,
  podOf,
  renderComponents,
  renderKustomization,
} from '../support/manifests.ts';

const production = 'deploy/kubernetes/overlays/production';

const rendering = {
  base: renderKustomization('deploy/kubernetes/base'),
  production: renderKustomization(production),
  'npm-run': renderComponents(['npm-run']),
  'shared-directory': renderComponents(['shared-directory']),
  'helm-hooks': renderComponents(['helm-hooks']),
  'all of them, in production': renderComponents(['shared-directory', 'npm-run', 'helm-hooks'], production),
};
type Name = keyof typeof rendering;
const names = Object.keys(rendering) as Name[]; // the keys of its own table

/** Rendered once; rendering refuses what the API's schema does not take. */
const renderings = Object.fromEntries(
  await Promise.all(names.map(async (name) => [name, await rendering[name]])),
) as Record<Name, readonly Manifest[]>; // one for each name

describe('the schema of the API', () => {
  test.each([
    ['a field of the Job', 'backoffLimit:', 'backofLimit:', 'spec/backofLimit is no field'],
    ['a field of the pod', 'restartPolicy:', 'restartPolicies:', 'spec/restartPolicies is no field'],
    ['a field of a rule', 'containerName:', 'container:', 'rules/0/onExitCodes/container is no field'],
    ['a field of a container', 'drop:', 'dropped:', 'securityContext/capabilities/dropped is no field'],
    ['a field at the wrong level', '  template:', '  args: []\n  template:', 'spec/args is no field'],
    [
      'a text in place of a number',
      'backoffLimit: 6',
      'backoffLimit: "6"',
      'spec/backoffLimit must be integer',
    ],
    ['a number in place of a text', 'key: url', 'key: 1', 'secretKeyRef/key must be string'],
    [
      'a word that is none of the choices',
      'action: Ignore',
      'action: Retry',
      'rules/1/action must be equal to',
    ],
    ['a missing field', '          operator: In\n', '', 'must have required property operator'],
  ])('refuses %s', async (_, right, wrong, problem) => {
    const yaml = await readFile('deploy/kubernetes/base/job.yaml', 'utf8');

    const problems = findManifestProblems(parse(yaml.replace(right, wrong)));

    expect(problems.join()).toContain(problem);
    expect(findManifestProblems(parse(yaml))).toEqual([]);
  });
});

describe.each(names)('%s', (name) => {
  const manifests = renderings[name];
  const job = jobOf(manifests);
  const deployment = deploymentOf(manifests);
  const workloads = [job, deployment];
  const containers = workloads.flatMap(containersOf);

  test('the Job has a failure policy that the API takes', () => {
    const rules = job.spec?.podFailurePolicy?.rules ?? [];
    const requirements = rules.flatMap(({ onExitCodes }) => onExitCodes ?? []);
    const values = requirements.flatMap((requirement) => requirement.values);

    expect(podOf(job).restartPolicy).toBe('Never');
    expect(job.spec?.podReplacementPolicy).toBe('Failed');
    expect(rules.every((rule) => !rule.onExitCodes !== !rule.onPodConditions)).toBe(true);
    for (const requirement of requirements) {
      expect(requirement.values).toEqual(requirement.values.toSorted((left, right) => left - right));
      expect(containersOf(job).map((container) => container.name)).toContain(requirement.containerName);
      expect(requirement.operator).toBe('In');
    }
    expect(values).not.toContain(0);
    expect(new Set(values).size).toBe(values.length);
  });

  test('the pod of the Job has longer to end than the runner takes, and the Job than all that it waits for', () => {
    const { activeDeadlineSeconds = 0, backoffLimit = 0 } = job.spec ?? {};
    const attempts = (backoffLimit + 1) * (defaultConnectWaitMs + defaultLockWaitMs);
    const pauses = 10_000 * (2 ** backoffLimit - 1);
    const cancelMs = 4_000; // two seconds for the cancel request, two for the good-bye

    expect(Number(podOf(job).terminationGracePeriodSeconds) * 1_000).toBeGreaterThan(
      defaultGraceMs + cancelMs,
    );
    expect(activeDeadlineSeconds * 1_000).toBeGreaterThan(attempts + pauses + defaultLockDeadlineMs);
  });

  test('every container runs as nobody in particular, with the least rights and a limit of memory', () => {
    for (const pod of workloads.map(podOf)) {
      expect(pod.securityContext).toEqual({
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      });
      expect(pod.automountServiceAccountToken).toBe(false);
    }
    for (const container of containers) {
      expect(container.securityContext).toEqual({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(container.resources).toMatchObject({
        requests: { memory: expect.anything() },
        limits: { memory: expect.anything() },
      });
    }
  });

  test('the command line takes what the containers say to it', () => {
    const said = containers.flatMap(({ image, args, command }) => {
      if (!image?.startsWith('example.com/product-alteration:')) return [];
      return [command ? wordsAfter('npm run alteration', command) : (args ?? [])];
    });

    const invocations = said.map((argv) => parseArguments(argv, 80));

    expect(invocations).toMatchObject([
      { kind: 'command', name: 'deploy', argument: 'latest' },
      { kind: 'command', name: 'check', argument: 'latest' },
    ]);
    for (const invocation of invocations)
      if (invocation.kind === 'command') expect(() => parseSettings(invocation.given)).not.toThrow();
  });

  test('the runner knows every variable that it is given, or an alteration does', () => {
    const known = (Object.keys(settingDefinitions) as SettingName[]).flatMap(variablesOf);
    const readByAlterations = ['OIDC_COOKIE_KEYS', 'OIDC_PRIVATE_KEYS', 'OIDC_PRIVATE_KEY_PATHS'];

    for (const { env = [] } of [containerOf(job, 'alteration'), containerOf(deployment, 'check')]) {
      expect([...known, ...readByAlterations]).toEqual(
        expect.arrayContaining((env ?? []).map((variable) => variable.name)),
      );
      expect(env?.find((variable) => variable.name === 'DB_URL')?.valueFrom?.secretKeyRef?.key).toBe('url');
    }
  });

  test('every volume that is mounted is there, and mounted', () => {
    for (const workload of workloads) {
      const mounted = containersOf(workload).flatMap(({ volumeMounts }) => volumeMounts ?? []);
      const volumes = podOf(workload).volumes ?? [];

      expect(new Set(mounted.map((mount) => mount.name))).toEqual(
        new Set(volumes.map((volume) => volume.name)),
      );
    }
  });

  test('new pods of the application wait for the database, and old ones stay until they are ready', () => {
    const { replicas, strategy, progressDeadlineSeconds = 0, selector, template } = deployment.spec ?? {};
    const wait = parseArguments(containerOf(deployment, 'check').args ?? [], 80);
    const waitMs = wait.kind === 'command' ? parseSettings(wait.given).wait : 0;

    expect(replicas).toBe(3);
    expect(strategy).toMatchObject({ type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0 } });
    expect(waitMs).toBe(600_000);
    expect(progressDeadlineSeconds * 1_000).toBeGreaterThan(waitMs);
    expect(selector?.matchLabels).toEqual(template?.metadata?.labels);
    expect(podOf(deployment).initContainers?.at(-1)?.name).toBe('check');
  });

  test('the application has the environment that it reads, its key in a file from a Secret', () => {
    const { env, ports, readinessProbe, volumeMounts } = containerOf(deployment, 'product');
    const variableOf = (variable: string) => env?.find((candidate) => candidate.name === variable);
    const endpoint = variableOf('ENDPOINT')?.valueFrom?.configMapKeyRef;
    const settings = manifests.find((manifest) => manifest.metadata?.name === endpoint?.name);
    const mount = volumeMounts?.find((candidate) =>
      variableOf('OIDC_PRIVATE_KEY_PATHS')?.value?.startsWith(`${candidate.mountPath}/`),
    );
    const volume = podOf(deployment).volumes?.find((candidate) => candidate.name === mount?.name);

    expect(env?.map((variable) => variable.name)).toEqual([
      'DB_URL',
      'PORT',
      'ENDPOINT',
      'OIDC_COOKIE_KEYS',
      'OIDC_PRIVATE_KEY_PATHS',
    ]);
    expect(variableOf('PORT')?.value).toBe(String(ports?.[0]?.containerPort));
    expect(readinessProbe?.httpGet?.port).toBe(ports?.[0]?.name);
    expect(settings).toMatchObject({
      kind: 'ConfigMap',
      data: { [endpoint?.key ?? '']: expect.any(String) },
    });
    expect(variableOf('OIDC_PRIVATE_KEY_PATHS')?.value).toBe(
      `${mount?.mountPath}/${volume?.secret?.items?.[0]?.path}`,
    );
  });
});

describe('what the Job does with a failed pod', () => {
  const decide = (exitCode: number, ...conditions: string[]) =>
    decidePodFailure(jobOf(renderings.base), { container: 'alteration', exitCode, conditions });

  // A new exit code has to be decided upon here.
  const actions = {
    defect: 'FailJob',
    usage: 'FailJob',
    failed: 'FailJob',
    halfDone: 'FailJob',
    lockHeld: 'Count',
    sessionLost: 'Count',
    integrity: 'FailJob',
    unreachable: 'Count',
    interrupted: 'Count',
    terminated: 'Count',
  } satisfies Record<Exclude<keyof typeof exitCodes, 'done' | 'pending'>, string>;

  test.each(Object.entries(actions))('%s: %s', (cause, action) => {
    const exitCode = exitCodes[cause as keyof typeof actions]; // the keys of its own table
    const rules = jobOf(renderings.base).spec?.podFailurePolicy?.rules ?? [];

    expect(decide(exitCode)).toBe(action);
    expect(rules.filter(({ onExitCodes }) => onExitCodes?.values.includes(exitCode))).toHaveLength(1);
  });

  test('agrees with what the README says is worth a retry', async () => {
    const readme = await readFile('README.md', 'utf8');
    const rows = [...readme.matchAll(/^\| (\d[\d, ]*?) +\|.*\| (no|yes|after a look) +\|$/gm)];
    const told = rows.flatMap(([, codes = '', retry]) =>
      codes.split(', ').map((code) => [Number(code), retry === 'yes' ? 'Count' : 'FailJob'] as const),
    );

    expect(told.map(([code]) => code)).toEqual([1, 2, 4, 5, 6, 7, 8, 9, 130, 143]);
    expect(told.map(([code]) => [code, decide(code)])).toEqual(told);
  });

  test('a disruption is not counted, unless the runner had its own word to say', () => {
    expect(decide(exitCodes.terminated, 'DisruptionTarget')).toBe('Ignore');
    expect(decide(exitCodes.sessionLost, 'DisruptionTarget')).toBe('Ignore');
    expect(decide(137, 'DisruptionTarget')).toBe('Ignore');
    expect(decide(exitCodes.failed, 'DisruptionTarget')).toBe('FailJob');
  });

  test('one that was killed, or whose alterations could not be copied, is tried again', () => {
    const job = jobOf(renderings['shared-directory']);

    expect(decide(137)).toBe('Count');
    expect(decidePodFailure(job, { container: 'copy-alterations', exitCode: 1 })).toBe('Count');
  });
});

describe('the overlay for production', () => {
  const job = jobOf(renderings.production);
  const deployment = deploymentOf(renderings.production);

  test('names the Job after the release, as host names can be', () => {
    const [, release = ''] = containerOf(job, 'alteration').image?.split(':') ?? [];

    expect(job.metadata?.name).toBe(`product-alteration-${release.replaceAll('.', '-')}`);
    expect(job.metadata?.name).toMatch(/^[a-z][a-z0-9-]{0,62}$/);
    expect(deployment.metadata?.name).toBe('product');
  });

  test('has one release of both images, in one namespace', () => {
    const images = [job, deployment].flatMap(containersOf).map(({ image }) => image?.split(':')[1]);

    expect(new Set(images).size).toBe(1);
    expect(renderings.production.map(({ metadata }) => metadata?.namespace)).toEqual(
      renderings.production.map(() => 'product'),
    );
  });

  test('gives the Job a role of its own, and the keys that its alterations move into the database', () => {
    const env = containerOf(job, 'alteration').env ?? [];
    const application = containerOf(deployment, 'product').env ?? [];
    const keys = ['OIDC_COOKIE_KEYS', 'OIDC_PRIVATE_KEY_PATHS'];

    expect(env.find(({ name }) => name === 'DB_URL')?.valueFrom?.secretKeyRef?.name).toBe(
      'database-deployer',
    );
    expect(env.filter(({ name }) => keys.includes(name))).toEqual(
      application.filter(({ name }) => keys.includes(name)),
    );
  });
});

describe('the components', () => {
  test('npm-run: the Job runs the command that people know', () => {
    const { command, args } = containerOf(jobOf(renderings['npm-run']), 'alteration');

    expect(command).toEqual(['/bin/sh', '-c', 'npm run alteration deploy latest']);
    expect(args).toBeUndefined();
  });

  test.each(['shared-directory', 'all of them, in production'] as const)(
    'shared-directory: what is copied first is what the runner reads (%s)',
    (name) => {
      const workloads = [
        [jobOf(renderings[name]), 'alteration'],
        [deploymentOf(renderings[name]), 'check'],
      ] as const;
      for (const [workload, runner] of workloads) {
        const [copy] = containersOf(workload);
        const { env, volumeMounts } = containerOf(workload, runner);
        const mounted = volumeMounts?.find((mount) => mount.name === copy?.volumeMounts?.[0]?.name);

        expect(copy?.command).toEqual(['cp', '-R', '/app/alterations/.', copy?.volumeMounts?.[0]?.mountPath]);
        expect(copy?.image).toMatch(/^example\.com\/product:/);
        expect(podOf(workload).volumes).toContainEqual({ name: mounted?.name, emptyDir: {} });
        expect(mounted?.readOnly).toBe(true);
        expect(env).toContainEqual({ name: 'ALTERATION_DIR', value: mounted?.mountPath });
        expect(mounted?.mountPath).toMatch(/^\/app\//); // where Node finds the packages
      }
    },
  );

  test('helm-hooks: the Job is a hook of installs and upgrades, and nothing else is one', () => {
    const manifests = renderings['helm-hooks'];

    expect(jobOf(manifests).metadata?.annotations).toEqual({
      'helm.sh/hook': 'pre-install,pre-upgrade',
      'helm.sh/hook-weight': '0',
      'helm.sh/hook-delete-policy': 'before-hook-creation',
    });
    expect(manifests.filter(({ metadata }) => metadata?.annotations)).toHaveLength(1);
  });
});

/** The words behind the npm script's name in the shell's command. */
function wordsAfter(script: string, command: readonly string[]): readonly string[] {
  const line = command.at(-1) ?? '';
  expect(command.slice(0, -1)).toEqual(['/bin/sh', '-c']);
  expect(line.startsWith(`${script} `)).toBe(true);
  return line.slice(script.length + 1).split(' ');
}
