import { z } from "zod";
import type { Operation } from "../operation.ts";
import { accepted, activity, activityResult, activityState, logLine } from "../shapes/activity.ts";
import {
  archiveSummary,
  backup,
  backupDetails,
  backupFiles,
  backupInput,
  backupPlan,
  backupSizes,
  restoreInput,
  restorePlan,
} from "../shapes/backup.ts";
import {
  activateInput,
  deletedEnvironment,
  environment,
  environmentPatch,
  environmentSettings,
} from "../shapes/project.ts";
import { named, timestamp } from "../shapes/shape.ts";

const environmentPath = "/projects/{project}/environments/{environment}";

const acceptedAnswer = { status: 200, shape: accepted } as const;
const backups = named("Backups", z.array(backup));
const activities = named("Activities", z.array(activity));

/** A value that may come once or several times. */
const several = <S extends z.ZodType>(shape: S) => z.union([shape, z.array(shape)]);

const activityQuery = z.object({
  type: several(z.string().max(100)).optional(),
  state: several(activityState.or(z.enum(["scheduled", "staged"]))).optional(),
  result: several(activityResult).optional(),
  /** Only activities that are older. */
  starts_at: timestamp.optional(),
  count: z.coerce.number().int().min(1).max(1000).optional(),
});

const logQuery = z.object({
  /** The first line. Default 0. */
  start_at: z.coerce.number().int().min(0).max(1e9).optional(),
  /** Lines at most; 0 and -1 for all. */
  max_items: z.coerce.number().int().min(-1).max(1e9).optional(),
  /** Seconds for which to wait for more; -1 for as long as it runs. Default: as long as it runs. */
  max_delay: z.coerce.number().min(-1).max(86_400).optional(),
});

/** Environments, their backups and their activities. */
export const environmentOperations = {
  listEnvironments: {
    path: "/projects/{project}/environments",
    method: "GET",
    summary: "The project's environments that the caller may see",
    tag: "environments",
    audience: "signed-in",
    answer: { status: 200, shape: named("Environments", z.array(environment)) },
  },
  listBackups: {
    path: `${environmentPath}/backups`,
    method: "GET",
    summary: "An environment's backups, newest first",
    tag: "backups",
    audience: "signed-in",
    answer: { status: 200, shape: backups },
  },
  listBackupDetails: {
    path: `${environmentPath}/backup-details`,
    method: "GET",
    summary: "What is known of an environment's backups, newest first",
    tag: "backups",
    audience: "signed-in",
    answer: { status: 200, shape: named("BackupDetailsList", z.array(backupDetails)) },
  },
  planBackup: {
    path: `${environmentPath}/backup-plan`,
    method: "GET",
    summary: "What a backup would do; refused where the backup would be",
    tag: "backups",
    audience: "signed-in",
    query: z.object({
      /** `false` for a live backup. Default: true. */
      safe: z.enum(["true", "false"]).optional(),
    }),
    answer: { status: 200, shape: backupPlan },
  },
  createBackup: {
    path: `${environmentPath}/backup`,
    method: "POST",
    summary: "Back an environment up",
    tag: "backups",
    audience: "signed-in",
    body: backupInput,
    answer: acceptedAnswer,
  },
  createBackupInList: {
    path: `${environmentPath}/backups`,
    method: "POST",
    summary: "Back an environment up; the same under another path",
    tag: "backups",
    audience: "signed-in",
    body: backupInput,
    answer: acceptedAnswer,
  },
  getBackup: {
    path: `${environmentPath}/backups/{backup}`,
    method: "GET",
    summary: "A backup",
    tag: "backups",
    audience: "signed-in",
    answer: { status: 200, shape: backup },
  },
  getBackupDetails: {
    path: `${environmentPath}/backups/{backup}/details`,
    method: "GET",
    summary: "What is known of a backup beyond Upsun's fields: its hold, components, warnings",
    tag: "backups",
    audience: "signed-in",
    answer: { status: 200, shape: backupDetails },
  },
  getBackupSizes: {
    path: `${environmentPath}/backups/{backup}/sizes`,
    method: "GET",
    summary: "What a backup takes in the repository; measured, which may take a while",
    tag: "backups",
    audience: "signed-in",
    answer: { status: 200, shape: backupSizes },
  },
  listBackupFiles: {
    path: `${environmentPath}/backups/{backup}/files`,
    method: "GET",
    summary: "What a backup holds in a directory",
    tag: "backups",
    audience: "signed-in",
    query: z.object({
      /** "mounts/app/media/2026"; default: the root. */
      path: z.string().max(10_000).optional(),
    }),
    answer: { status: 200, shape: backupFiles },
  },
  getBackupArchive: {
    path: `${environmentPath}/backups/{backup}/archive`,
    method: "GET",
    summary: "A backup, or parts of it, as a tar archive",
    tag: "backups",
    audience: "signed-in",
    query: z.object({
      /** Only what is at and below these. */
      path: several(z.string().max(10_000)).optional(),
    }),
    answer: { status: 200, bytes: "application/x-tar", summary: archiveSummary },
  },
  deleteBackup: {
    path: `${environmentPath}/backups/{backup}`,
    method: "DELETE",
    summary: "Delete a backup",
    tag: "backups",
    audience: "signed-in",
    answer: acceptedAnswer,
  },
  restoreBackup: {
    path: `${environmentPath}/backups/{backup}/restore`,
    method: "POST",
    summary: "Restore a backup, to its environment or to another one",
    tag: "backups",
    audience: "signed-in",
    body: restoreInput,
    answer: acceptedAnswer,
  },
  planRestore: {
    path: `${environmentPath}/backups/{backup}/restore-plan`,
    method: "POST",
    summary: "What a restore would do; refused where the restore would be",
    tag: "backups",
    audience: "signed-in",
    body: restoreInput,
    answer: { status: 200, shape: restorePlan },
  },
  activateEnvironment: {
    path: `${environmentPath}/activate`,
    method: "POST",
    summary: "Activate an inactive environment",
    tag: "environments",
    audience: "signed-in",
    body: activateInput,
    answer: acceptedAnswer,
  },
  deactivateEnvironment: {
    path: `${environmentPath}/deactivate`,
    method: "POST",
    summary: "Mark an environment as inactive",
    tag: "environments",
    audience: "signed-in",
    answer: acceptedAnswer,
  },
  pauseEnvironment: {
    path: `${environmentPath}/pause`,
    method: "POST",
    summary: "Mark an environment as paused",
    tag: "environments",
    audience: "signed-in",
    answer: acceptedAnswer,
  },
  resumeEnvironment: {
    path: `${environmentPath}/resume`,
    method: "POST",
    summary: "Mark a paused environment as active again",
    tag: "environments",
    audience: "signed-in",
    answer: acceptedAnswer,
  },
  redeployEnvironment: {
    path: `${environmentPath}/redeploy`,
    method: "POST",
    summary: "Never possible: this server does not deploy",
    tag: "environments",
    audience: "signed-in",
    answer: acceptedAnswer,
  },
  branchEnvironment: {
    path: `${environmentPath}/branch`,
    method: "POST",
    summary: "Never possible: environments are declared in the server's configuration",
    tag: "environments",
    audience: "signed-in",
    answer: acceptedAnswer,
  },
  synchronizeEnvironment: {
    path: `${environmentPath}/synchronize`,
    method: "POST",
    summary: "Never possible: restore a backup of the parent instead",
    tag: "environments",
    audience: "signed-in",
    answer: acceptedAnswer,
  },
  mergeEnvironment: {
    path: `${environmentPath}/merge`,
    method: "POST",
    summary: "Never possible: this server has no Git repository",
    tag: "environments",
    audience: "signed-in",
    answer: acceptedAnswer,
  },
  getEnvironmentSettings: {
    path: `${environmentPath}/settings`,
    method: "GET",
    summary: "What Upsun's clients ask of an environment besides itself; there is nothing to set",
    tag: "environments",
    audience: "signed-in",
    answer: { status: 200, shape: environmentSettings },
  },
  listEnvironmentActivities: {
    path: `${environmentPath}/activities`,
    method: "GET",
    summary: "An environment's activities, newest first",
    tag: "activities",
    audience: "signed-in",
    query: activityQuery,
    answer: { status: 200, shape: activities },
  },
  getEnvironmentActivity: {
    path: `${environmentPath}/activities/{activity}`,
    method: "GET",
    summary: "An environment's activity",
    tag: "activities",
    audience: "signed-in",
    answer: { status: 200, shape: activity },
  },
  cancelEnvironmentActivity: {
    path: `${environmentPath}/activities/{activity}/cancel`,
    method: "POST",
    summary: "Cancel an environment's activity; what it began is undone",
    tag: "activities",
    audience: "signed-in",
    answer: acceptedAnswer,
  },
  restoreEnvironmentActivity: {
    path: `${environmentPath}/activities/{activity}/restore`,
    method: "POST",
    summary: "Restore the backup that an environment's activity made; older clients do",
    tag: "activities",
    audience: "signed-in",
    body: restoreInput,
    answer: acceptedAnswer,
  },
  getEnvironmentActivityLog: {
    path: `${environmentPath}/activities/{activity}/log`,
    method: "GET",
    summary: "An environment's activity's log, line by line as it is written",
    tag: "activities",
    audience: "signed-in",
    query: logQuery,
    answer: { status: 200, lines: logLine },
  },
  getEnvironment: {
    path: environmentPath,
    method: "GET",
    summary: "An environment",
    tag: "environments",
    audience: "signed-in",
    answer: { status: 200, shape: environment },
  },
  updateEnvironment: {
    path: environmentPath,
    method: "PATCH",
    summary: "Change an environment's status; all else is in the configuration file",
    tag: "environments",
    audience: "signed-in",
    body: environmentPatch,
    answer: acceptedAnswer,
  },
  deleteEnvironment: {
    path: environmentPath,
    method: "DELETE",
    summary: "Take an environment out of the catalog that the configuration no longer has and that has no backups",
    tag: "environments",
    audience: "signed-in",
    answer: { status: 200, shape: deletedEnvironment },
  },
  listActivities: {
    path: "/projects/{project}/activities",
    method: "GET",
    summary: "A project's activities on environments that the caller may see, newest first",
    tag: "activities",
    audience: "signed-in",
    query: activityQuery,
    answer: { status: 200, shape: activities },
  },
  getActivity: {
    path: "/projects/{project}/activities/{activity}",
    method: "GET",
    summary: "An activity",
    tag: "activities",
    audience: "signed-in",
    answer: { status: 200, shape: activity },
  },
  cancelActivity: {
    path: "/projects/{project}/activities/{activity}/cancel",
    method: "POST",
    summary: "Cancel an activity; what it began is undone",
    tag: "activities",
    audience: "signed-in",
    answer: acceptedAnswer,
  },
  restoreActivity: {
    path: "/projects/{project}/activities/{activity}/restore",
    method: "POST",
    summary: "Restore the backup that an activity made; older clients do",
    tag: "activities",
    audience: "signed-in",
    body: restoreInput,
    answer: acceptedAnswer,
  },
  getActivityLog: {
    path: "/projects/{project}/activities/{activity}/log",
    method: "GET",
    summary: "An activity's log, line by line as it is written",
    tag: "activities",
    audience: "signed-in",
    query: logQuery,
    answer: { status: 200, lines: logLine },
  },
} as const satisfies Record<string, Operation>;
