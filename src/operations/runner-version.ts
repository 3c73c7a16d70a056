/** This package's version, as the history and the reports name it. */
export const runnerVersion = '0.1.0';
