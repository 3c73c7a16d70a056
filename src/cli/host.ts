/** What the process lends to the command line; `bin.ts` makes it out of `process`, a test out of anything. */
export interface Host {
  /** Arguments after the program's name. */
  readonly argv: readonly string[];
  /** The environment; values of the `.env` file are added to it, so that scripts see them too. */
  readonly env: Record<string, string | undefined>;
  readonly cwd: string;
  /** Where somebody can be asked; undefined when stdin or stderr is not a terminal. */
  readonly terminal:
    | { readonly input: NodeJS.ReadableStream; readonly output: NodeJS.WritableStream }
    | undefined;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** File that is to hold how it ended, where there is one: Kubernetes mounts it. It is never created. */
  readonly terminationLog: string;
  /** Aborted by the first signal: stop at the next safe point. */
  readonly stop: AbortSignal;
  /** Aborted when the script under way cannot go on: it exited, threw outside its promise, or never settles. */
  readonly abandon: AbortSignal;
}

export interface OutputStream {
  readonly isTTY: boolean;
  /** Width in columns; 80 where it is not a terminal. */
  readonly columns: number;
  write(text: string): unknown;
}
