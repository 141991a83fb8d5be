import {
  type BackupId,
  type EnvironmentId,
  formatBytes,
  formatDuration,
  HoldfastError,
  isHoldfastError,
} from "../../base/index.ts";
import {
  createBackup,
  deleteBackup,
  type EngineEvent,
  type EnvironmentStatus,
  recoverInterrupted,
  restoreBackup,
  type RestoreBackupOptions,
} from "../../engine/index.ts";
import type { Claim } from "../activities/activity-queue.ts";
import type { ActivityType, JsonObject } from "../activities/activity.ts";
import type { OpenCatalog } from "../catalog/open-catalog.ts";
import { restoreReportJson } from "./report-json.ts";
import type { OpenSite } from "./worker-host.ts";

/** What an activity has come to. */
export interface Performed {
  /** For the log. */
  readonly message: string;
  readonly payload: JsonObject;
}

/** Where each of these leads. Their data is left alone. */
const statusChanges: Readonly<Partial<Record<ActivityType, EnvironmentStatus>>> = {
  "environment.activate": "active",
  "environment.deactivate": "inactive",
  "environment.pause": "paused",
  "environment.resume": "active",
};

/** The status that the activity gives its environment; undefined if it does something else. */
export const statusAfter = (type: ActivityType): EnvironmentStatus | undefined => statusChanges[type];

/**
 * Does what the activity asks for. Done again after its worker was lost, it finishes what was begun and does nothing twice:
 * a backup of its id is that backup, a deleted one is deleted, a restore that has taken effect is `isDone`.
 * @throws HoldfastError what the engine throws
 */
export async function performActivity(claim: Claim, site: OpenSite): Promise<Performed> {
  const { activity } = claim;
  const { parameters } = activity;
  switch (activity.type) {
    case "environment.backup": {
      const expiresAt = expiryOf(parameters, site);
      const replaced: BackupId[] = [];
      const onEvent = (event: EngineEvent): void => {
        if (event.type === "replaced") replaced.push(event.backup);
        site.context.onEvent(event);
      };
      const backup = await createBackup({ ...site.context, onEvent }, site.environment, {
        id: text(activity.payload, "backup_name") as BackupId,
        operation: activity.id,
        live: parameters["safe"] !== true,
        automated: parameters["automated"] === true,
        ...(expiresAt === undefined ? {} : { expiresAt }),
      });
      return {
        message:
          `The backup ${backup.id} is complete: ${formatBytes(backup.sizeBytes)} in ${formatDuration(backup.durationMs)}, ` +
          `${formatBytes(backup.written.bytesNew)} new, ${formatBytes(backup.written.bytesStored)} stored.`,
        payload: { warnings: backup.warnings.length, replaced },
      };
    }
    case "environment.backup.delete": {
      const backup = text(parameters, "backup") as BackupId;
      try {
        await deleteBackup(site.context, site.environment, backup);
      } catch (error) {
        // By the worker that was lost over it.
        if (!claim.wasBegun || !isHoldfastError(error, "BACKUP_NOT_FOUND")) throw error;
      }
      return { message: `The backup ${backup} has been deleted.`, payload: {} };
    }
    case "environment.restore": {
      const source = optionalText(parameters, "source_environment");
      const report = await restoreBackup(site.context, site.environment, {
        backup: text(parameters, "backup") as BackupId,
        operation: activity.id,
        noCode: parameters["restore_code"] === false,
        ...onlyOf(parameters),
        ...(source === undefined ? {} : { sourceEnvironment: source as EnvironmentId }),
      });
      return {
        message: `${activity.environment} has been restored to the backup ${report.backup.id} in ${formatDuration(report.durationMs)}.`,
        payload: { warnings: report.warnings.length, restore: restoreReportJson(report) },
      };
    }
    case "environment.activate":
    case "environment.deactivate":
    case "environment.pause":
    case "environment.resume":
      throw new TypeError(`${activity.type} needs no repository.`);
  }
}

/**
 * Undoes or finishes what a lost worker began, and says whether the activity has taken effect by that: then only its end is
 * to be recorded. @throws HoldfastError ENVIRONMENT_BUSY, RECOVERY_FAILED
 */
export async function recoverActivity(claim: Claim, site: OpenSite, catalog: OpenCatalog): Promise<boolean> {
  await recoverInterrupted(site.context, site.environment);
  const { activity } = claim;
  switch (activity.type) {
    case "environment.backup":
      return (await catalog.get(activity.project, text(activity.payload, "backup_name") as BackupId)) !== undefined;
    case "environment.backup.delete":
      return (await catalog.get(activity.project, text(activity.parameters, "backup") as BackupId)) === undefined;
    case "environment.restore":
      return catalog.queue.isFinished(claim);
    case "environment.activate":
    case "environment.deactivate":
    case "environment.pause":
    case "environment.resume":
      return false;
  }
}

const dayMs = 86_400_000;

/** What was asked for, else what the project's profile says. */
function expiryOf(parameters: JsonObject, { context, manualExpiryDays }: OpenSite): Date | undefined {
  const asked = optionalText(parameters, "expires_at");
  if (asked !== undefined) return new Date(asked);
  if (parameters["automated"] === true || manualExpiryDays === undefined) return undefined;
  return new Date(context.clock.now().getTime() + manualExpiryDays * dayMs);
}

/** The parts that are asked for, as the API has checked them. */
function onlyOf(parameters: JsonObject): Pick<RestoreBackupOptions, "only"> {
  const { only } = parameters;
  return only === undefined ? {} : { only: only as unknown as NonNullable<RestoreBackupOptions["only"]> };
}

function text(object: JsonObject, key: string): string {
  const value = object[key];
  if (typeof value === "string") return value;
  throw new HoldfastError("INTERNAL", `The activity does not say its "${key}".`, { facts: { key } });
}

function optionalText(object: JsonObject, key: string): string | undefined {
  return object[key] === undefined || object[key] === null ? undefined : text(object, key);
}
