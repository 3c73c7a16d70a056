import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

/** Builds the binary that the tests run, so that it is of the sources they stand beside. */
export default async function build(): Promise<void> {
  await promisify(execFile)('npm', ['run', 'build']);
}
