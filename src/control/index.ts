// Projects' records and rules: the catalog database, activities and their queue, who may do
// what, the retention profiles. Terms: catalog (the
// index of backups, and what is nowhere else: statuses, settings, activities), profile (what a project's plan allows and
// keeps). It knows neither HTTP nor the CLI nor how requests are held.
export {
  assertActive,
  assertCanBackUp,
  type Backup,
  type BackupArchive,
  type BackupFile,
  type ComponentIdentity,
  type EnvironmentStatus,
  type EnvironmentType,
  oldestManualBackups,
  outlineRestore,
  type RestoreOutline,
} from "../engine/index.ts";
export { holdJson, restoreReportJson, type RestoreReportJson } from "./worker/report-json.ts";
export type { Access } from "./access/access.ts";
export type { ApiToken, ApiTokens } from "./access/api-tokens.ts";
export type { AuditedChange, AuditEntry, AuditTrail } from "./access/audit-trail.ts";
export {
  type EnvironmentAction,
  environmentActions,
  environmentRole,
  type EnvironmentRole,
  environmentTypes,
  mayDoInEnvironment,
  mayDoInProject,
  type ProjectAction,
  projectActions,
  type ProjectPermission,
  projectPermissions,
  type ProjectRights,
} from "./access/permissions.ts";
export type { ProjectAccess, ProjectGrant } from "./access/project-access.ts";
export type { OpenSession, Session, Sessions, SignedIn } from "./access/sessions.ts";
export type { SignInLink, SignInLinks } from "./access/sign-in-links.ts";
export type { NewUser, User, UserId, UserKind, Users } from "./access/users.ts";
export {
  type Activity,
  type ActivityId,
  type ActivityLogEntry,
  type ActivityOutcome,
  type ActivityResult,
  type ActivityState,
  activityStates,
  type ActivityType,
  activityTypes,
  type Actor,
  hasEnded,
  type JsonObject,
  type JsonValue,
} from "./activities/activity.ts";
export type { ActivityListener, ActivityName } from "./activities/activity-feed.ts";
export {
  activityLimitSetting,
  type ActivityQueue,
  type Claim,
  type ClaimEnd,
  type ClaimReport,
  type QueueOptions,
  type QueueWorker,
} from "./activities/activity-queue.ts";
export { type NewActivity, systemActor } from "./activities/create-activity.ts";
export type { ActivityFilter, ActivityStore } from "./activities/activity-store.ts";
export { setDamagedCatalogAside } from "./catalog/set-aside.ts";
export {
  type CatalogPlace,
  type EnvironmentStates,
  type OpenCatalog,
  openCatalog,
  type OpenCatalogOptions,
} from "./catalog/open-catalog.ts";
export {
  type DataRetention,
  dataRetention,
  defaultRetention,
  manualPolicy,
  mergeRetention,
  retentionKey,
  type RetentionChange,
  type RetentionPolicy,
} from "./policy/data-retention.ts";
export {
  assertManualBackupAllowed,
  type ManualBackupPolicy,
  manualBackupPolicy,
  type PolicyEnvironmentType,
  type ProfileName,
  profileNames,
} from "./policy/profiles.ts";
export type { DeclarationChange } from "./projects/declaration-changes.ts";
export type { DeclaredEnvironment, DeclaredProject } from "./projects/declaration.ts";
export type { CatalogEnvironment, CatalogProject, ProjectStore } from "./projects/project-store.ts";
export { ActivityWorker, type WorkerOptions } from "./worker/activity-worker.ts";
export { removeOldActivities, type RemoveOldOptions } from "./worker/remove-old-activities.ts";
export type { OpenSite, WorkerHost } from "./worker/worker-host.ts";
export { lockWorker, workerPlace } from "./worker/worker-place.ts";
