import { type BackupId, HoldfastError, newBackupId } from "../../base/index.ts";
import type { Backup, CatalogEnvironment } from "../../control/index.ts";
import type { environmentOperations, Operations, RestoreInput, Result } from "../../contract/index.ts";
import type { Caller, ProjectView } from "../caller.ts";
import type { Handler, Handlers } from "../operation-handlers.ts";
import { accepted } from "../representation/activity-representation.ts";
import { type BackupOffers, representBackup, representBackupDetails } from "../representation/backup-representation.ts";
import { requestActivity } from "../request-activity.ts";
import type { ApiServices } from "../server-facts.ts";

type Names = Extract<
  keyof typeof environmentOperations,
  | "listBackups"
  | "createBackup"
  | "createBackupInList"
  | "getBackup"
  | "getBackupDetails"
  | "deleteBackup"
  | "restoreBackup"
>;

const create: Handler<Operations["createBackup"]> = async ({ caller, services, parameters, body }) => {
  const { view, environment } = await caller.environment(parameters.project, parameters.environment, "backUp");
  const live = body.safe === false;
  assertManualBackupAllowed(services, view, environment, live);
  const id = newBackupId();
  const kind = live ? "live backup" : "backup";
  const activity = await requestActivity(services, caller, view, environment, {
    type: "environment.backup",
    parameters: { safe: !live, automated: false, expires_at: expiryOf(services, view, environment) },
    payload: { backup_name: id },
    text: `${caller.user.displayName} created a ${kind} of ${environment.title}`,
  });
  return accepted(activity, { cancel: true });
};

export const backupHandlers: Handlers<Names> = {
  listBackups: async ({ caller, services, parameters }) => {
    const { view, environment } = await caller.environment(parameters.project, parameters.environment);
    const backups = await services.catalog.list(view.id, environment.id);
    return backups.map((backup) => representBackup(backup, offersFor(view, environment)));
  },

  createBackup: create,
  createBackupInList: create,

  getBackup: async ({ caller, services, parameters }) => {
    const { view, environment } = await caller.environment(parameters.project, parameters.environment);
    const backup = await find(services, environment, parameters.backup);
    return representBackup(backup, offersFor(view, environment));
  },

  getBackupDetails: async ({ caller, services, parameters }) => {
    const { environment } = await caller.environment(parameters.project, parameters.environment);
    return representBackupDetails(await find(services, environment, parameters.backup));
  },

  deleteBackup: async ({ caller, services, parameters }) => {
    const { view, environment } = await caller.environment(parameters.project, parameters.environment, "deleteBackup");
    const backup = await find(services, environment, parameters.backup);
    const activity = await requestActivity(services, caller, view, environment, {
      type: "environment.backup.delete",
      parameters: { backup: backup.id },
      payload: { backup_name: backup.id },
      text: `${caller.user.displayName} deleted the backup ${backup.id} of ${environment.title}`,
    });
    return accepted(activity, { cancel: true });
  },

  restoreBackup: ({ caller, services, parameters, body }) => requestRestore(services, caller, parameters, body),
};

/**
 * Asks for a restore of a backup, to its environment or to another one.
 * @throws HoldfastError ACCESS_DENIED, BACKUP_NOT_FOUND, BACKUP_NOT_RESTORABLE, ENVIRONMENT_*, INPUT_INVALID
 */
export async function requestRestore(
  services: ApiServices,
  caller: Caller,
  named: { readonly project: string; readonly environment: string; readonly backup: string },
  input: RestoreInput,
): Promise<Result<Operations["restoreBackup"]>> {
  const source = await caller.environment(named.project, named.environment, "restore");
  const backup = await find(services, source.environment, named.backup);
  const targetName = input.environment_name ?? source.environment.id;
  const { view, environment } = await target(services, caller, named.project, targetName, input.branch_from);
  if (!isRestorable(backup)) {
    throw new HoldfastError("BACKUP_NOT_RESTORABLE", `The backup ${backup.id} cannot be restored.`, {
      facts: { backup: backup.id, status: backup.status },
    });
  }
  const elsewhere = environment.id === source.environment.id ? "" : ` to ${environment.title}`;
  const activity = await requestActivity(services, caller, view, environment, {
    type: "environment.restore",
    parameters: {
      backup: backup.id,
      source_environment: source.environment.id,
      environment_name: environment.id,
      restore_code: input.restore_code ?? true,
      restore_resources: input.restore_resources ?? true,
      resources_init: input.resources?.init ?? null,
    },
    // Here Upsun's clients read the environment's name.
    payload: { backup_name: backup.id, environment: environment.id },
    text: `${caller.user.displayName} restored the backup ${backup.id} of ${source.environment.title}${elsewhere}`,
  });
  return accepted(activity, { cancel: true });
}

/** It is there, whole, and not on its way out. */
export const isRestorable = (backup: Backup): boolean => backup.restorable && backup.status === "CREATED";

/** The environment to restore to: data of one must not come to whoever may restore the other alone. */
async function target(
  services: ApiServices,
  caller: Caller,
  project: string,
  name: string,
  branchFrom: string | null | undefined,
) {
  const view = await caller.project(project);
  const environments = await services.catalog.projects.environments(view.id);
  const isThere = environments.some(({ id }) => id === name);
  if (!isThere && branchFrom !== undefined && branchFrom !== null) {
    throw new HoldfastError(
      "INPUT_INVALID",
      `There is no environment ${JSON.stringify(name)}, and this server cannot make one from ${JSON.stringify(branchFrom)}.`,
      { remedy: "Declare the environment in the server's configuration file, then restore to it." },
    );
  }
  return caller.environment(project, name, "restore");
}

/** Spec C3, C8. */
function assertManualBackupAllowed(
  services: ApiServices,
  view: ProjectView,
  environment: CatalogEnvironment,
  live: boolean,
): void {
  const project = services.configured(view.id);
  const configured = project?.environment(environment.id);
  if (project !== undefined && configured?.manualBackups.allowed === false) {
    throw new HoldfastError(
      "MANUAL_BACKUP_FORBIDDEN",
      `The profile ${project.profile} allows no manual backups of ${environment.type} environments such as ${environment.id}.`,
    );
  }
  if (configured?.hasGateway === false && !live && environment.status === "active") {
    throw new HoldfastError(
      "CONFIG_INVALID",
      `${environment.id} has no gateway, so its requests cannot be held for a safe backup.`,
      { remedy: "Take a live backup, or configure a gateway for the environment." },
    );
  }
}

/** Spec R4: where the profile gives manual backups an expiry. */
function expiryOf(services: ApiServices, view: ProjectView, environment: CatalogEnvironment): string | null {
  const days = services.configured(view.id)?.environment(environment.id)?.manualBackups.expiryDays;
  return days === undefined ? null : new Date(services.clock.now().getTime() + days * 86_400_000).toISOString();
}

const offersFor = (view: ProjectView, environment: CatalogEnvironment): BackupOffers => ({
  restore: environment.declared && view.mayIn(environment, "restore"),
  delete: environment.declared && view.mayIn(environment, "deleteBackup"),
});

async function find(services: ApiServices, environment: CatalogEnvironment, id: string): Promise<Backup> {
  const backup = await services.catalog.get(environment.project, id as BackupId);
  if (backup?.environment === environment.id) return backup;
  throw new HoldfastError("BACKUP_NOT_FOUND", `The environment ${environment.id} has no backup ${JSON.stringify(id)}.`);
}
