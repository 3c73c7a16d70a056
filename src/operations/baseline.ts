import { BaselineRefusedError } from '../core/errors.ts';
import { currentVersion, planDeploy } from '../core/plan.ts';
import { parseTarget, renderTarget, type Target } from '../core/target.ts';
import { openChecksums } from '../folder/checksum.ts';
import type { Transaction } from '../postgres/connection.ts';
import { type AlterationRecord, recordBaseline, upgradeHistoryTable } from '../postgres/history-table.ts';
import { withGrace } from './grace.ts';
import { newOrigin, type RunOptions, reporterOf } from './options.ts';
import { type BaselineReport, reportVersion } from './reports.ts';
import { describeAlteration, type Snapshot, withSnapshot } from './snapshot.ts';
import { underLock } from './under-lock.ts';

export interface BaselineOptions extends RunOptions {
  /** Everything up to it is recorded. */
  readonly target: string;
  readonly dryRun?: boolean;
}

/** Records everything up to the target as applied without running it. Throws a BaselineRefusedError over rows. */
export async function baseline(given: BaselineOptions): Promise<BaselineReport> {
  return withGrace(given, runBaseline);
}

async function runBaseline(options: BaselineOptions): Promise<BaselineReport> {
  const target = parseTarget(options.target);
  const report = reporterOf(options);
  return withSnapshot(`baseline ${renderTarget(target)}`, options, 'run', async (snapshot) => {
    refuseRows(snapshot);
    report({ type: 'connected', database: snapshot.session.database });
    if (options.dryRun) return describeBaseline(snapshot, target, null, true);
    return underLock(snapshot, options, report, ({ onHistory }) =>
      onHistory((current, transaction) => record(current, target, transaction)),
    );
  });
}

async function record(snapshot: Snapshot, target: Target, transaction: Transaction): Promise<BaselineReport> {
  refuseRows(snapshot);
  const { folder, historyTable, tableState, alterations } = snapshot;
  const { steps } = planDeploy(alterations, [], target);
  const checksums = openChecksums(folder);
  const records: Omit<AlterationRecord, 'startedAt'>[] = [];
  for (const { alteration } of steps) {
    records.push({ ...describeAlteration(alteration), ...(await checksums.of(alteration)) });
  }
  const origin = newOrigin();
  await upgradeHistoryTable(transaction, historyTable, tableState);
  await recordBaseline(transaction, historyTable, records, origin);
  return describeBaseline(snapshot, target, origin.deployId, false);
}

function refuseRows({ history, historyTable: { schema, table } }: Snapshot): void {
  if (history.length === 0) return;
  throw new BaselineRefusedError(
    `The history "${schema}.${table}" has ${history.length === 1 ? 'a row' : `${history.length} rows`} already; a baseline is the first.`,
    { hint: 'Nothing was changed. See what is applied with "alteration list".' },
  );
}

function describeBaseline(
  { session, alterations }: Snapshot,
  target: Target,
  deployId: string | null,
  dryRun: boolean,
): BaselineReport {
  const recorded = planDeploy(alterations, [], target).steps.map(({ alteration }) => alteration);
  const rows = recorded.map((alteration) => ({ ...alteration, state: 'applied' as const }));
  return {
    schemaVersion: reportVersion,
    command: 'baseline',
    database: session.database,
    target: renderTarget(target),
    dryRun,
    version: currentVersion(alterations, rows) ?? null,
    recorded: recorded.map(describeAlteration),
    deployId,
  };
}
