// Projects' records and rules: the catalog database, activities and their queue, the retention profiles. Terms: catalog (the
// index of backups, and what is nowhere else: statuses, settings, activities), profile (what a project's plan allows and
// keeps). It knows neither HTTP nor the CLI nor how requests are held.
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
export type {
  ActivityQueue,
  Claim,
  ClaimEnd,
  ClaimReport,
  QueueOptions,
  QueueWorker,
} from "./activities/activity-queue.ts";
export type { ClaimLimits } from "./activities/claim-plan.ts";
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
  type ManualBackupPolicy,
  manualBackupPolicy,
  type PolicyEnvironmentType,
  type ProfileName,
  profileNames,
} from "./policy/profiles.ts";
export type { DeclaredEnvironment, DeclaredProject } from "./projects/declaration.ts";
export type { CatalogEnvironment, CatalogProject, ProjectStore } from "./projects/project-store.ts";
