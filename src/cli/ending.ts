import type {
  BaselineReport,
  CheckReport,
  CreateReport,
  DeployReport,
  ErrorReport,
  FolderCheckReport,
  ListReport,
  ReleaseReport,
  RollbackReport,
  StatusReport,
} from '../operations/reports.ts';

/** What a command that came to its end reports. */
export type Report =
  | DeployReport
  | RollbackReport
  | ListReport
  | StatusReport
  | CheckReport
  | FolderCheckReport
  | BaselineReport
  | CreateReport
  | ReleaseReport;

/** How a command ended, for those who do not read its log. */
export interface Ending {
  /** null where none was understood. */
  readonly command: string | null;
  readonly exitCode: number;
  readonly document: Report | ErrorReport;
  /** The document as people read it, without colours. */
  readonly text: string;
}
