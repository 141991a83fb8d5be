import { type BackupId, type EnvironmentId, newBackupId, type ProjectId } from "../../../src/base/index.ts";
import type { ActivityType, Actor, NewActivity } from "../../../src/control/index.ts";

// What the API creates when somebody asks for it, for tests of workers without an API.

/** Where an activity takes place. */
export interface ActivitySite {
  readonly project: ProjectId;
  readonly environment: { readonly id: EnvironmentId; readonly title: string };
  /** Names the project's repository. */
  readonly storage: string;
}

/** A backup under a new id, which the payload's `backup_name` tells from the start. */
export function backupActivity(
  site: ActivitySite,
  actor: Actor,
  options: { readonly safe: boolean; readonly automated?: boolean },
): NewActivity {
  const kind = options.safe ? "backup" : "live backup";
  return {
    ...commonOf(site, "environment.backup"),
    parameters: {
      safe: options.safe,
      automated: options.automated ?? false,
      expires_at: null,
    },
    payload: { ...payloadOf(site, actor), backup_name: newBackupId() },
    text: `${actor.name} created a ${kind} of ${site.environment.title}`,
  };
}

export function backupDeleteActivity(site: ActivitySite, actor: Actor, backup: BackupId): NewActivity {
  return {
    ...commonOf(site, "environment.backup.delete"),
    parameters: { backup },
    payload: { ...payloadOf(site, actor), backup_name: backup },
    text: `${actor.name} deleted the backup ${backup} of ${site.environment.title}`,
  };
}

/** `site` is where the backup is restored to; `source` whose backup it is. */
export function restoreActivity(
  site: ActivitySite,
  actor: Actor,
  options: { readonly backup: BackupId; readonly source: EnvironmentId; readonly restoreCode: boolean },
): NewActivity {
  return {
    ...commonOf(site, "environment.restore"),
    parameters: {
      backup: options.backup,
      source_environment: options.source,
      environment_name: site.environment.id,
      restore_code: options.restoreCode,
    },
    // The clients read this one's `environment` as a string.
    payload: { ...payloadOf(site, actor), environment: site.environment.title, backup_name: options.backup },
    text: `${actor.name} restored ${site.environment.title} to the backup ${options.backup}`,
  };
}

const statusVerbs = {
  "environment.activate": "activated",
  "environment.deactivate": "deactivated",
  "environment.pause": "paused",
  "environment.resume": "resumed",
} as const satisfies Partial<Record<ActivityType, string>>;

export function statusActivity(site: ActivitySite, actor: Actor, type: keyof typeof statusVerbs): NewActivity {
  return {
    ...commonOf(site, type),
    parameters: {},
    payload: payloadOf(site, actor),
    text: `${actor.name} ${statusVerbs[type]} ${site.environment.title}`,
  };
}

function commonOf<T extends ActivityType>(
  site: ActivitySite,
  type: T,
): Pick<NewActivity, "project" | "environment" | "storage"> & { readonly type: T } {
  return { project: site.project, environment: site.environment.id, storage: site.storage, type };
}

function payloadOf(site: ActivitySite, actor: Actor): NewActivity["payload"] {
  return {
    user: { id: actor.id, display_name: actor.name },
    environment: { id: site.environment.id, title: site.environment.title },
  };
}
