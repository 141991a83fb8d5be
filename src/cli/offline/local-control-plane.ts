import {
  type BackupId,
  type EnvironmentId,
  HoldfastError,
  isBackupId,
  newBackupId,
  newOperationId,
  type OperationId,
} from "../../base/index.ts";
import type { EnvironmentConfig } from "../../config/index.ts";
import {
  type Activity,
  activityStates,
  activityTypes,
  assertManualBackupAllowed,
  type DataRetention,
  dataRetention,
  type ManualBackupPolicy,
  manualPolicy,
  retentionKey,
} from "../../control/index.ts";
import {
  assertActive,
  assertCanBackUp,
  type Backup,
  backupArchive,
  type BackupFile,
  backupFiles,
  createBackup,
  deleteBackup,
  type EngineContext,
  planRestore,
  restoreBackup,
  type RestoreBackupOptions,
  type RestoreReport,
} from "../../engine/index.ts";
import { chooseEnvironment, mainEnvironment } from "../choose.ts";
import type {
  ActivityListFilter,
  ActivityLogLine,
  BackupPlan,
  BackupSizes,
  ControlPlane,
  EnvironmentInfo,
  ListedActivity,
  ListedBackup,
  ListedEnvironment,
  RestorePlan,
  RestoreRequest,
  Run,
  Started,
  StatusChange,
  TakenArchive,
} from "../control-plane.ts";
import { selectionText } from "../commands/source-selection.ts";
import { formatMoment } from "../output/moment.ts";
import type { ProgressDisplay } from "../progress/progress-display.ts";
import { silentProgress } from "../progress/progress-display.ts";
import { goOnInBackground, removeBackgroundLog, unfinishedInBackground } from "./background.ts";
import { localLog } from "./follow-local-log.ts";
import { measure } from "./repo-stats-command.ts";
import { commandLineActor, type Session } from "./session.ts";
import { tagOf } from "./snapshot-text.ts";

const dayMs = 86_400_000;
const statusAfter = { activate: "active", pause: "paused", resume: "active", deactivate: "inactive" } as const;

/** A project of the configuration: its catalog and repository, in this process, with all rights. */
export class LocalControlPlane implements ControlPlane {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  get project(): ControlPlane["project"] {
    return this.#session.project;
  }

  async environments(): Promise<readonly ListedEnvironment[]> {
    const { project, catalog } = this.#session;
    const found: ListedEnvironment[] = [];
    for (const { id, title, type, parent, initialStatus } of project.environments) {
      found.push({ id, title, type, parent, status: await catalog.environmentStatus(project.id, id, initialStatus) });
    }
    return found.toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  async environmentInfo(id: EnvironmentId): Promise<EnvironmentInfo> {
    const { project, catalog } = this.#session;
    const environments = await this.environments();
    const listed = chooseEnvironment({ id: project.id, environments }, id);
    const [stored, latest] = await Promise.all([
      catalog.projects.environment(project.id, id),
      catalog.latestBackup(project.id, id),
    ]);
    return {
      ...listed,
      createdAt: stored?.createdAt ?? null,
      updatedAt: stored?.updatedAt ?? null,
      lastBackupAt: latest?.createdAt ?? null,
      headCommit: latest === undefined || latest.commitId === "" ? null : latest.commitId,
      isMain: mainEnvironment(environments)?.id === id,
      hasCode: this.#config(id).applications.some(({ code }) => code !== undefined),
    };
  }

  async changeStatus({ id }: ListedEnvironment, change: StatusChange): Promise<"changed"> {
    await this.#session.record(`environment.${change}`, this.#config(id), {});
    await this.#session.catalog.setEnvironmentStatus(this.project.id, id, statusAfter[change]);
    return "changed";
  }

  async backups(environment: EnvironmentId): Promise<readonly ListedBackup[]> {
    const backups = await this.#session.catalog.list(this.project.id, environment);
    // There is a state folder before `init`, too, where the gateway has run: then the repository is missing.
    if (backups.length === 0) await this.#session.repository();
    return backups.map((backup) => this.#listed(backup));
  }

  async backgroundNotes(): Promise<readonly string[]> {
    const unfinished = await unfinishedInBackground(this.#session.config.stateDirectory);
    return unfinished.map(
      ({ id, startedAt, log }) =>
        `the backup ${id}, begun in the background on ${formatMoment(startedAt)}, is not complete. It still runs, or has failed: see ${log}`,
    );
  }

  async findBackup(
    environment: EnvironmentId,
    wanted: string | undefined,
    accept?: (backup: Backup) => boolean,
  ): Promise<ListedBackup> {
    return this.#listed(await this.#session.findBackup(this.#config(environment), wanted, accept));
  }

  async backupSizes(backup: Backup): Promise<BackupSizes | null> {
    const { invocation } = this.#session;
    const { signal } = invocation.host;
    const repository = await this.#session.repository();
    const { sizes } = await measure(invocation, (onProgress) => repository.stats({ signal, onProgress }));
    return (
      sizes.find(({ snapshot }) => snapshot.id === backup.snapshot) ??
      sizes.find(({ snapshot }) => tagOf(snapshot, "backup") === backup.id) ??
      null
    );
  }

  async backupFiles(backup: Backup, path: Buffer): Promise<readonly BackupFile[]> {
    return backupFiles(await this.#session.repository(), backup, path, this.#session.invocation.host.signal);
  }

  async backupArchive(
    backup: Backup,
    paths: readonly Buffer[],
    onProgress: (bytes: number) => void,
  ): Promise<TakenArchive> {
    const { signal } = this.#session.invocation.host;
    return backupArchive(await this.#session.repository(), backup, paths, { signal, onProgress });
  }

  async planBackup({ id, type }: ListedEnvironment, options: { readonly live: boolean }): Promise<BackupPlan> {
    const { project, catalog } = this.#session;
    const policy = await this.#manualPolicy(type);
    assertManualBackupAllowed(policy, project.profile, project.id, { id, type });
    assertCanBackUp(await this.#session.environment(this.#config(id)), options);
    // A missing repository or a wrong password is told before anything is asked.
    await this.#session.repository();
    const manual = (await catalog.list(project.id, id)).filter(({ automated }) => !automated);
    return {
      replaces: policy.count === undefined ? [] : manual.slice(Math.max(1, policy.count) - 1),
      manualCount: policy.count,
      profile: project.profile,
    };
  }

  async createBackup(
    { id: environmentId, type }: ListedEnvironment,
    { live }: { readonly live: boolean },
    { wait, progress }: Run,
  ): Promise<ListedBackup | Started> {
    const { host } = this.#session.invocation;
    const { stateDirectory } = this.#session.config;
    const id = host.backgroundName ?? newBackupId();
    if (!isBackupId(id)) throw new TypeError(`"${id}" is no id of a backup.`);
    if (!wait && host.backgroundName === undefined) {
      const log = await goOnInBackground(this.#session.invocation, stateDirectory, id);
      return { kind: "started", backup: id, log, activity: undefined };
    }
    const { expiryDays } = await this.#manualPolicy(type);
    await this.#session.record("environment.backup", this.#config(environmentId), {
      backup: id,
      safe: !live,
      automated: false,
    });
    const backup = await createBackup(
      await this.#context(progress),
      await this.#session.environment(this.#config(environmentId)),
      {
        id,
        live,
        ...(expiryDays === undefined ? {} : { expiresAt: new Date(host.clock.now().getTime() + expiryDays * dayMs) }),
      },
    );
    await removeBackgroundLog(stateDirectory, id);
    return this.#listed(backup);
  }

  async deleteBackup({ id }: ListedEnvironment, backup: BackupId, { progress }: Run): Promise<"deleted"> {
    await this.#session.record("environment.backup.delete", this.#config(id), { backup });
    await deleteBackup(await this.#context(progress), await this.#session.environment(this.#config(id)), backup);
    return "deleted";
  }

  async planRestore(request: RestoreRequest): Promise<RestorePlan> {
    if (request.branchFrom !== undefined) {
      throw new HoldfastError(
        "INPUT_INVALID",
        "Without a server no new environment can be made, so --branch-from has no use.",
        {
          remedy:
            "Add the environment to the configuration and name it with --target, or restore with --into DIRECTORY.",
        },
      );
    }
    const config = this.#config(request.target.id);
    const environment = await this.#session.environment(config);
    if (request.into === undefined) assertActive(environment);
    const plan = await planRestore(await this.#context(silentProgress), environment, restoreOptions(request));
    return {
      ...plan,
      parts: plan.steps.map(({ source, below }) => ({ source, ...(below === undefined ? {} : { below }) })),
      hasGateway: config.gateway !== undefined,
    };
  }

  async restore(request: RestoreRequest, { wait, progress }: Run): Promise<RestoreReport | Started> {
    const { invocation, config } = this.#session;
    if (!wait && invocation.host.backgroundName === undefined) {
      const log = await goOnInBackground(invocation, config.stateDirectory, `restore-${newOperationId()}`);
      return { kind: "started", backup: undefined, log, activity: undefined };
    }
    const { backup, origin, target, noCode, only, into } = request;
    await this.#session.record(
      into === undefined ? "environment.restore" : "backup.restore-into",
      this.#config(target.id),
      {
        backup,
        source_environment: origin.id,
        restore_code: !noCode,
        ...(only === undefined ? {} : { only: only.map(selectionText).join(", ") }),
        ...(into === undefined ? {} : { into }),
      },
    );
    const environment = await this.#session.environment(this.#config(target.id));
    return restoreBackup(await this.#context(progress), environment, restoreOptions(request));
  }

  async retention(): Promise<DataRetention> {
    const { project, catalog } = this.#session;
    return dataRetention(project.profile, (await catalog.projects.settings(project.id)).get(retentionKey));
  }

  async changeSettings(change: unknown): Promise<void> {
    const { project, catalog, invocation } = this.#session;
    // The contract takes a while to load, and this one command uses it.
    const { changeLocalSettings } = await import("./local-settings.ts");
    await changeLocalSettings(catalog.projects, project.id, change, commandLineActor(invocation));
  }

  async activities(filter: ActivityListFilter): Promise<readonly ListedActivity[]> {
    const { environment, result, before, limit } = filter;
    const types = activityTypes.filter((type) => filter.types.includes(type));
    const states = activityStates.filter((state) => filter.states.includes(state));
    // Other types and states are Upsun's, and there are none of them.
    if ((filter.types.length > 0 && types.length === 0) || (filter.states.length > 0 && states.length === 0)) return [];
    return this.#session.catalog.activities.list(this.project.id, {
      limit,
      ...(environment === undefined ? {} : { environment }),
      ...(types.length === 0 ? {} : { types }),
      ...(states.length === 0 ? {} : { states }),
      ...(result === undefined ? {} : { result }),
      ...(before === undefined ? {} : { before }),
    });
  }

  async activity(id: OperationId): Promise<Activity> {
    const activity = await this.#session.catalog.activities.get(this.project.id, id);
    if (activity !== undefined) return activity;
    throw new HoldfastError("ACTIVITY_NOT_FOUND", `There is no activity ${JSON.stringify(id)} here.`, {
      facts: { activity: id },
    });
  }

  activityLog(id: OperationId, { follow }: { readonly follow: boolean }): AsyncIterable<ActivityLogLine> {
    const { catalog, invocation } = this.#session;
    return localLog(catalog.activities, this.project.id, id, { follow, signal: invocation.host.signal });
  }

  cancelActivity(id: OperationId): Promise<Activity> {
    return this.#session.catalog.activities.cancel(this.project.id, id, commandLineActor(this.#session.invocation));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#session[Symbol.asyncDispose]();
  }

  #config(id: EnvironmentId): EnvironmentConfig {
    return chooseEnvironment(this.#session.project, id);
  }

  #listed(backup: Backup): ListedBackup {
    return { ...backup, replicas: this.#session.project.repository.replicas.map(({ name }) => name) };
  }

  async #manualPolicy(type: ListedEnvironment["type"]): Promise<ManualBackupPolicy> {
    const { project, catalog } = this.#session;
    const settings = await catalog.projects.settings(project.id);
    return manualPolicy(project.profile, type, settings.get(retentionKey));
  }

  #context(progress: ProgressDisplay): Promise<EngineContext> {
    return this.#session.engineContext((event) => progress.show(event));
  }
}

const restoreOptions = ({ backup, origin, target, noCode, only, into }: RestoreRequest): RestoreBackupOptions => ({
  backup,
  noCode,
  ...(target.id === origin.id ? {} : { sourceEnvironment: origin.id }),
  ...(only === undefined ? {} : { only }),
  ...(into === undefined ? {} : { into }),
});
