/** What has to be said or done otherwise before anything can be measured, as a sentence. */
export class UsageError extends Error {}
