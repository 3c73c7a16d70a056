// Runs the pods of a manifest with Docker, as a node would: command, environment, limits and security as they are written.

import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IJob } from 'kubernetes-models/batch/v1';
import type { IContainer, IEnvVar, IPodSpec } from 'kubernetes-models/v1';
import { decidePodFailure, podOf } from './manifests.ts';
import { type RunningContainer, startContainer } from './runner-container.ts';
import { mountTerminationLog } from './termination-log.ts';
import { whenOver } from './when-over.ts';

/** What the cluster has that a manifest refers to. */
export interface Cluster {
  /** What is pulled for an image that is named in the manifests. */
  readonly images: Readonly<Record<string, string>>;
  /** By `secret/key`. */
  readonly secrets: Readonly<Record<string, string>>;
  /** Added to each container, over what is written: shorter waits, for example. */
  readonly env?: Readonly<Record<string, string>>;
}

/** The end of a pod's container, as Kubernetes would report it. */
export interface ContainerEnd {
  readonly exitCode: number;
  /** What the container wrote to its termination log. */
  readonly message: string;
  readonly log: string;
}

/** A container that runs. */
export interface StartedContainer extends RunningContainer {
  readonly end: () => Promise<ContainerEnd>;
}

/** Starts one container of a pod; volumes of the pod are folders of this machine. */
export async function startPodContainer(
  pod: IPodSpec,
  container: IContainer,
  cluster: Cluster,
  volumes: Readonly<Record<string, string>> = {},
): Promise<StartedContainer> {
  const terminationLog = await mountTerminationLog();
  const running = await startContainer(
    {
      image: cluster.images[container.image ?? ''] ?? '',
      env: { ...environmentOf(container.env ?? [], cluster), ...cluster.env },
      options: [
        ...securityOf(pod, container),
        terminationLog.mount,
        ...(container.volumeMounts ?? []).map(
          ({ name, mountPath, readOnly }) =>
            `--volume=${volumes[name] ?? ''}:${mountPath}${readOnly ? ':ro' : ''}`,
        ),
      ],
    },
    container,
  );
  return {
    ...running,
    end: async () => ({
      exitCode: await running.ended(),
      message: await terminationLog.read(),
      log: await running.log(),
    }),
  };
}

/** Runs a pod: its init containers one by one, then its only container. The first that fails ends it. */
export async function runPod(pod: IPodSpec, cluster: Cluster): Promise<ContainerEnd> {
  const folders = (pod.volumes ?? []).map(async ({ name }) => [name, await createFolder()] as const);
  const volumes = Object.fromEntries(await Promise.all(folders));
  let end: ContainerEnd | undefined;
  for (const container of [...(pod.initContainers ?? []), ...pod.containers]) {
    end = await (await startPodContainer(pod, container, cluster, volumes)).end();
    if (end.exitCode !== 0) break;
  }
  if (!end) throw new Error('The pod has no containers.');
  return end;
}

/** An `emptyDir`: everybody may write. */
async function createFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'alteration-pod-'));
  whenOver(() => rm(folder, { recursive: true, force: true }));
  await chmod(folder, 0o777);
  return folder;
}

function environmentOf(variables: readonly IEnvVar[], { secrets }: Cluster): Record<string, string> {
  return Object.fromEntries(
    variables.map(({ name, value, valueFrom }) => {
      const { name: secret, key } = valueFrom?.secretKeyRef ?? {};
      return [name, value ?? secrets[`${secret}/${key}`] ?? ''];
    }),
  );
}

function securityOf(pod: IPodSpec, { securityContext, resources }: IContainer): readonly string[] {
  const memory = resources?.limits?.['memory'];
  return [
    '--user=1000730000:0', // a namespace of OpenShift gives such a one
    ...(pod.securityContext?.seccompProfile?.type === 'RuntimeDefault'
      ? []
      : ['--security-opt=seccomp=unconfined']),
    ...(securityContext?.readOnlyRootFilesystem ? ['--read-only'] : []),
    ...(securityContext?.capabilities?.drop ?? []).map((capability) => `--cap-drop=${capability}`),
    ...(securityContext?.allowPrivilegeEscalation === false ? ['--security-opt=no-new-privileges'] : []),
    ...(memory ? [`--memory=${String(memory).replace('Mi', 'm')}`] : []),
  ];
}

/** What the Job controller makes of a Job whose pods are run by `attempt`: pods, until one completes or it gives up. */
export async function runJob(
  job: IJob,
  attempt: (pod: IPodSpec, number: number) => Promise<Pick<ContainerEnd, 'exitCode'>>,
): Promise<{ readonly condition: 'Complete' | 'Failed'; readonly exitCodes: readonly number[] }> {
  const exitCodes: number[] = [];
  let counted = 0;
  for (;;) {
    const { exitCode } = await attempt(podOf(job), exitCodes.length + 1);
    exitCodes.push(exitCode);
    if (exitCode === 0) return { condition: 'Complete', exitCodes };
    const action = decidePodFailure(job, { container: 'alteration', exitCode });
    if (action === 'Count') counted += 1;
    if (action === 'FailJob' || counted > (job.spec?.backoffLimit ?? 6))
      return { condition: 'Failed', exitCodes };
  }
}
