import type { z } from 'zod';
import type {
  baselineReportSchema,
  checkReportSchema,
  createReportSchema,
  deployReportSchema,
  errorReportSchema,
  folderCheckReportSchema,
  folderProblemSchema,
  listedSchema,
  listReportSchema,
  releaseReportSchema,
  rollbackReportSchema,
  statusReportSchema,
} from './report-schemas.ts';

/** Version of the documents; it changes when a field goes or changes its meaning. */
export const reportVersion = 1;

export type DeployReport = z.infer<typeof deployReportSchema>;
export type RollbackReport = z.infer<typeof rollbackReportSchema>;
export type ListReport = z.infer<typeof listReportSchema>;
export type StatusReport = z.infer<typeof statusReportSchema>;
export type CheckReport = z.infer<typeof checkReportSchema>;
export type FolderCheckReport = z.infer<typeof folderCheckReportSchema>;
export type FolderProblem = z.infer<typeof folderProblemSchema>;
export type BaselineReport = z.infer<typeof baselineReportSchema>;
export type CreateReport = z.infer<typeof createReportSchema>;
export type ReleaseReport = z.infer<typeof releaseReportSchema>;
export type ErrorReport = z.infer<typeof errorReportSchema>;
export type Listed = z.infer<typeof listedSchema>;
