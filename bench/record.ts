// Where results are kept: each trial as soon as it is over, so that nothing is lost with a run that is interrupted.

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeIntoPage } from './page.ts';
import { renderReport } from './report.ts';
import { addTrial, noResults, type Results, type Session, type TrialResult } from './results.ts';

const page = fileURLToPath(new URL('../docs/performance.md', import.meta.url));
const folder = fileURLToPath(new URL('results', import.meta.url));

export interface Keeper {
  keep(trial: TrialResult): Promise<void>;
  /** What was kept in this session alone. */
  readonly kept: () => Results;
}

/** Keeps a session beside what others have measured, in the committed results and in the page. */
export async function openRecord(session: Session): Promise<Keeper> {
  const file = join(folder, 'latest.json');
  let all = await readResults(file);
  return openKeeper(session, async (trial) => {
    all = addTrial(all, session, trial);
    await writeResults(file, all);
    await writeIntoPage(page, renderReport(all));
  });
}

/** Keeps a session for whoever has asked for it. */
export function openSketch(session: Session): Keeper {
  const sketch = openKeeper(session, () => writeResults(join(folder, 'partial.json'), sketch.kept()));
  return sketch;
}

function openKeeper(session: Session, write: (trial: TrialResult) => Promise<void>): Keeper {
  let own = noResults;
  return {
    async keep(trial) {
      own = addTrial(own, session, trial);
      await write(trial);
    },
    kept: () => own,
  };
}

/** None of another form: they are measured anew. */
async function readResults(file: string): Promise<Results> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return JSON.stringify(noResults);
    throw error;
  });
  const results = JSON.parse(text) as Results; // it wrote them itself
  return results.schemaVersion === noResults.schemaVersion ? results : noResults;
}

/** At once: whoever interrupts it finds the old ones or the new. */
async function writeResults(file: string, results: Results): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(`${file}.new`, `${JSON.stringify(results, undefined, 2)}\n`);
  await rename(`${file}.new`, file);
}
