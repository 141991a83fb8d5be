import type { EnvironmentId, OperationId, ProjectId } from "../base/index.ts";
import type { Activity } from "../control/index.ts";
import type { EnvironmentStatus, EnvironmentType } from "../engine/index.ts";

/**
 * One project's environments, backups and activities, as commands work on them: in this process on the catalog and the
 * repository, or as a server's client. What commands print, ask and return is the same either way. Close it.
 */
export interface ControlPlane extends AsyncDisposable {
  readonly project: { readonly id: ProjectId; readonly title: string };

  /** In the order of the configuration, as far as the caller may see them. */
  environments(): Promise<readonly ListedEnvironment[]>;

  /** Newest first. @throws HoldfastError ENVIRONMENT_NOT_FOUND, ACCESS_DENIED */
  activities(filter: ActivityListFilter): Promise<readonly ListedActivity[]>;
  /** @throws HoldfastError ACTIVITY_NOT_FOUND, ACCESS_DENIED */
  activity(id: OperationId): Promise<ListedActivity>;
  /** Its log: what is there, and with `follow` what comes until it has ended. */
  activityLog(id: OperationId, options: { readonly follow: boolean }): AsyncIterable<ActivityLogLine>;
  /** Returns it as it is then: cancelled, or asked to stop. @throws HoldfastError ACTIVITY_NOT_CANCELLABLE, ACCESS_DENIED */
  cancelActivity(id: OperationId): Promise<ListedActivity>;
}

export interface ListedEnvironment {
  readonly id: EnvironmentId;
  readonly title: string;
  readonly type: EnvironmentType;
  readonly status: EnvironmentStatus;
  readonly parent: EnvironmentId | undefined;
}

/** What is left out does not matter. */
export interface ActivityListFilter {
  readonly environment: EnvironmentId | undefined;
  readonly types: readonly string[];
  readonly states: readonly string[];
  readonly result: "success" | "failure" | undefined;
  readonly before: Date | undefined;
  readonly limit: number;
}

export type ListedActivity = Omit<Activity, "createdBy" | "updatedAt" | "cancelRequestedAt">;

export interface ActivityLogLine {
  readonly at: Date;
  /** Ends in a newline; may have several lines. */
  readonly message: string;
}
