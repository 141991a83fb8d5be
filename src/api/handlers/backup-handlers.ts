import { type BackupId, HoldfastError, newBackupId, type SourceId } from "../../base/index.ts";
import {
  assertActive,
  assertCanBackUp,
  assertManualBackupAllowed,
  type Backup,
  type CatalogEnvironment,
  type JsonObject,
  manualPolicy,
  outlineRestore,
  type RestoreOutline,
  retentionKey,
} from "../../control/index.ts";
import type { environmentOperations, Operations, RestoreInput, Result } from "../../contract/index.ts";
import type { Caller, ProjectView } from "../caller.ts";
import type { Handler, Handlers } from "../operation-handlers.ts";
import { accepted } from "../representation/activity-representation.ts";
import {
  type BackupOffers,
  representBackup,
  representBackupDetails,
  representBackupFile,
} from "../representation/backup-representation.ts";
import { requestActivity } from "../request-activity.ts";
import type { ApiServices } from "../server-facts.ts";

type Names = Extract<
  keyof typeof environmentOperations,
  | "listBackups"
  | "createBackup"
  | "createBackupInList"
  | "getBackup"
  | "getBackupDetails"
  | "listBackupDetails"
  | "getBackupSizes"
  | "listBackupFiles"
  | "getBackupArchive"
  | "planBackup"
  | "planRestore"
  | "deleteBackup"
  | "restoreBackup"
>;

const create: Handler<Operations["createBackup"]> = async ({ caller, services, parameters, body }) => {
  const { view, environment } = await caller.environment(parameters.project, parameters.environment, "backUp");
  const live = body.safe === false;
  assertPossible(services, view, environment, live);
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
    const { view, environment } = await caller.environment(parameters.project, parameters.environment);
    const backup = await find(services, environment, parameters.backup);
    return representBackupDetails(backup, offersFor(view, environment), replicasOf(services, view));
  },

  listBackupDetails: async ({ caller, services, parameters }) => {
    const { view, environment } = await caller.environment(parameters.project, parameters.environment);
    const backups = await services.catalog.list(view.id, environment.id);
    const [offers, replicas] = [offersFor(view, environment), replicasOf(services, view)];
    return backups.map((backup) => representBackupDetails(backup, offers, replicas));
  },

  getBackupSizes: async ({ caller, services, parameters, signal }) => {
    const { environment } = await caller.environment(parameters.project, parameters.environment);
    const sizes = await services.contents.sizes(await find(services, environment, parameters.backup), signal);
    if (sizes === undefined) return { sizes: null };
    const { bytes, bytesStored, bytesUnique, bytesNew } = sizes;
    return { sizes: { bytes, bytes_stored: bytesStored, bytes_unique: bytesUnique, bytes_new: bytesNew } };
  },

  listBackupFiles: async ({ caller, services, parameters, query, signal }) => {
    const { environment } = await caller.environment(parameters.project, parameters.environment, "readBackup");
    const backup = await find(services, environment, parameters.backup);
    const files = await services.contents.files(backup, pathOf(query.path ?? ""), signal);
    return files.map((file) => representBackupFile(file));
  },

  getBackupArchive: async ({ caller, services, parameters, query, signal }) => {
    const { environment } = await caller.environment(parameters.project, parameters.environment, "readBackup");
    const backup = await find(services, environment, parameters.backup);
    const wanted = query.path === undefined ? [""] : Array.isArray(query.path) ? query.path : [query.path];
    const { bytes, summary } = await services.contents.archive(backup, wanted.map(pathOf), signal);
    return {
      bytes,
      summary: () => {
        const { entries, bytes: total, skipped } = summary();
        const first = skipped.slice(0, 100).map((path) => path.toString("base64"));
        return { entries, bytes: total, skipped_base64: first, skipped: skipped.length };
      },
    };
  },

  planBackup: async ({ caller, services, parameters, query }) => {
    const { view, environment } = await caller.environment(parameters.project, parameters.environment, "backUp");
    assertPossible(services, view, environment, query.safe === "false");
    const { profile } = services.configured(view.id) ?? { profile: "upsun" as const };
    const settings = await services.catalog.projects.settings(view.id);
    const { count } = manualPolicy(profile, environment.type, settings.get(retentionKey));
    const manual = (await services.catalog.list(view.id, environment.id)).filter(({ automated }) => !automated);
    const goes = count === undefined ? [] : manual.slice(Math.max(1, count) - 1);
    return { replaces: goes.map(({ id }) => id), manual_count: count ?? null, profile };
  },

  planRestore: async ({ caller, services, parameters, body }) => {
    const { backup, environment } = await restoreOf(services, caller, parameters, body);
    const configured = services.configured(environment.project)?.environment(environment.id);
    const plan = outline(services, backup, environment, body);
    return {
      backup: backup.id,
      environment: environment.id,
      parts: plan.parts.map(({ source, below }) => ({ source, path: below ?? null })),
      missing_in_environment: [...plan.missingInEnvironment],
      missing_in_backup: [...plan.missingInBackup],
      commit_id: plan.commitId,
      has_gateway: configured?.hasGateway ?? false,
    };
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
 * @throws HoldfastError ACCESS_DENIED, BACKUP_NOT_FOUND, BACKUP_NOT_RESTORABLE, ENVIRONMENT_*, SOURCE_NOT_FOUND, INPUT_INVALID
 */
export async function requestRestore(
  services: ApiServices,
  caller: Caller,
  named: { readonly project: string; readonly environment: string; readonly backup: string },
  input: RestoreInput,
): Promise<Result<Operations["restoreBackup"]>> {
  const { view, source, environment, backup } = await restoreOf(services, caller, named, input);
  outline(services, backup, environment, input);
  const elsewhere = environment.id === source.id ? "" : ` to ${environment.title}`;
  const activity = await requestActivity(services, caller, view, environment, {
    type: "environment.restore",
    parameters: {
      backup: backup.id,
      source_environment: source.id,
      environment_name: environment.id,
      restore_code: input.restore_code ?? true,
      restore_resources: input.restore_resources ?? true,
      resources_init: input.resources?.init ?? null,
      ...(input.only === undefined
        ? {}
        : {
            only: input.only.map(({ source: component, path }): JsonObject => ({
              source: component,
              ...(path === undefined ? {} : { path }),
            })),
          }),
    },
    // Here Upsun's clients read the environment's name.
    payload: { backup_name: backup.id, environment: environment.id },
    text: `${caller.user.displayName} restored the backup ${backup.id} of ${source.title}${elsewhere}`,
  });
  return accepted(activity, { cancel: true });
}

/** It is there, whole, and not on its way out. */
export const isRestorable = (backup: Backup): boolean => backup.restorable && backup.status === "CREATED";

interface RequestedRestore {
  readonly view: ProjectView;
  /** The backup's own environment. */
  readonly source: CatalogEnvironment;
  /** The one that is restored to. */
  readonly environment: CatalogEnvironment;
  readonly backup: Backup;
}

/** @throws HoldfastError BACKUP_NOT_FOUND, BACKUP_NOT_RESTORABLE, ENVIRONMENT_NOT_FOUND, ENVIRONMENT_INACTIVE, ACCESS_DENIED */
async function restoreOf(
  services: ApiServices,
  caller: Caller,
  parameters: { readonly project: string; readonly environment: string; readonly backup: string },
  body: RestoreInput,
): Promise<RequestedRestore> {
  const source = await caller.environment(parameters.project, parameters.environment, "restore");
  const backup = await find(services, source.environment, parameters.backup);
  const targetName = body.environment_name ?? source.environment.id;
  const { view, environment } = await target(services, caller, parameters.project, targetName, body.branch_from);
  if (!isRestorable(backup)) {
    throw new HoldfastError("BACKUP_NOT_RESTORABLE", `The backup ${backup.id} cannot be restored.`, {
      facts: { backup: backup.id, status: backup.status },
      remedy: "Choose a restorable one: holdfast backup:list",
    });
  }
  assertActive(undisturbed(environment));
  return { view, source: source.environment, environment, backup };
}

/** @throws HoldfastError SOURCE_NOT_FOUND, INPUT_INVALID */
function outline(
  services: ApiServices,
  backup: Backup,
  environment: CatalogEnvironment,
  body: RestoreInput,
): RestoreOutline {
  const { components = [] } = services.configured(environment.project)?.environment(environment.id) ?? {};
  const only = body.only?.map(({ source, path }) => ({
    source: source as SourceId,
    ...(path === undefined ? {} : { path }),
  }));
  return outlineRestore(
    backup,
    { id: environment.id, components },
    { noCode: body.restore_code === false, ...(only === undefined ? {} : { only }) },
  );
}

const pathOf = (text: string): Buffer => Buffer.from(text.replace(/^\/+|\/+$/g, ""));

const replicasOf = (services: ApiServices, view: ProjectView): readonly string[] =>
  services.configured(view.id)?.replicas ?? [];

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

/** While an activity runs others wait in the queue; what is under that is checked when one is created. */
const undisturbed = ({ id, status }: CatalogEnvironment): Pick<CatalogEnvironment, "id" | "status"> => ({
  id,
  status: status === "dirty" ? "active" : status,
});

/** Spec C2, C3, C8. @throws HoldfastError MANUAL_BACKUP_FORBIDDEN, ENVIRONMENT_INACTIVE, CONFIG_INVALID */
function assertPossible(
  services: ApiServices,
  view: ProjectView,
  environment: CatalogEnvironment,
  live: boolean,
): void {
  const project = services.configured(view.id);
  const configured = project?.environment(environment.id);
  if (project === undefined || configured === undefined) return;
  assertManualBackupAllowed(configured.manualBackups, project.profile, view.id, environment);
  const gateway = configured.hasGateway ? true : undefined;
  assertCanBackUp({ ...undisturbed(environment), gateway }, { live });
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
