import {
  type BackupId,
  type EnvironmentId,
  HoldfastError,
  type OperationId,
  type ProjectId,
  type SourceId,
} from "../../base/index.ts";
import { addressText, type ApiClient, followLog, patiently, type Received } from "../../client/index.ts";
import type { Operations, ProjectSettingsPatch } from "../../contract/index.ts";
import type { DataRetention } from "../../control/index.ts";
import type { Backup, BackupFile, RestoreReport } from "../../engine/index.ts";
import { chooseProject } from "../choose.ts";
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
import type { CliHost } from "../host.ts";
import type { Invocation } from "../offline/session.ts";
import { activityOf, dateOf } from "./activity-answers.ts";
import { awaitActivity } from "./await-activity.ts";
import { archiveSummaryOf, backupOf, counted, fileOf, restoreReportOf } from "./backup-answers.ts";

/** A project on a server: every call is a request, and its rights are those of whoever asks. */
export class RemoteControlPlane implements ControlPlane {
  readonly project: ControlPlane["project"];
  readonly #client: ApiClient;
  readonly #host: CliHost;

  private constructor(client: ApiClient, project: ControlPlane["project"], host: CliHost) {
    this.#client = client;
    this.project = project;
    this.#host = host;
  }

  /** @throws HoldfastError PROJECT_NOT_FOUND, INPUT_INVALID; what the client throws */
  static async open(client: ApiClient, { host, options }: Invocation): Promise<RemoteControlPlane> {
    const projects = (await client.call("listProjects", { parameters: {} })).map(({ id, title }) => ({
      id: id as ProjectId,
      title,
    }));
    const where = client.address.kind === "url" ? addressText(client.address) : "The configuration";
    return new RemoteControlPlane(client, chooseProject(projects, options.project, where), host);
  }

  async environments(): Promise<readonly ListedEnvironment[]> {
    const found = await this.#client.call("listEnvironments", { parameters: this.#inProject });
    return found.filter(({ attributes }) => attributes["declared"] !== "false").map(environmentOf);
  }

  async environmentInfo(environment: EnvironmentId): Promise<EnvironmentInfo> {
    const answer = await this.#client.call("getEnvironment", { parameters: { ...this.#inProject, environment } });
    return {
      ...environmentOf(answer),
      createdAt: new Date(answer.created_at),
      updatedAt: new Date(answer.updated_at),
      lastBackupAt: dateOf(answer.last_backup_at),
      headCommit: answer.head_commit,
      isMain: answer.is_main,
      hasCode: answer.has_code,
    };
  }

  async changeStatus({ id }: ListedEnvironment, change: StatusChange, run: Run): Promise<"changed" | "requested"> {
    const call = { parameters: { ...this.#inProject, environment: id } };
    const activity = acceptedActivity(await this.#client.call(`${change}Environment`, call));
    if (!run.wait) return "requested";
    await this.#await(activity, run);
    return "changed";
  }

  async backups(environment: EnvironmentId): Promise<readonly ListedBackup[]> {
    const parameters = { ...this.#inProject, environment };
    return (await this.#client.call("listBackupDetails", { parameters })).map(backupOf);
  }

  async backgroundNotes(): Promise<readonly string[]> {
    return [];
  }

  async findBackup(
    environment: EnvironmentId,
    wanted: string | undefined,
    accept: (backup: Backup) => boolean = () => true,
  ): Promise<ListedBackup> {
    if (wanted !== undefined && wanted !== "latest") {
      return backupOf(
        await this.#client.call("getBackupDetails", {
          parameters: { ...this.#inProject, environment, backup: wanted },
        }),
      );
    }
    const newest = (await this.backups(environment)).find(accept);
    if (newest !== undefined) return newest;
    throw new HoldfastError("BACKUP_NOT_FOUND", `No backups found in the environment ${environment}.`, {
      facts: { environment },
      remedy: "Make one:  holdfast backup:create",
    });
  }

  async backupSizes({ environment, id }: Backup): Promise<BackupSizes | null> {
    const { sizes } = await this.#client.call("getBackupSizes", {
      parameters: { ...this.#inProject, environment, backup: id },
    });
    if (sizes === null) return null;
    return {
      bytes: sizes.bytes,
      bytesStored: sizes.bytes_stored,
      bytesUnique: sizes.bytes_unique,
      bytesNew: sizes.bytes_new,
    };
  }

  async backupFiles({ environment, id }: Backup, path: Buffer): Promise<readonly BackupFile[]> {
    const found = await this.#client.call("listBackupFiles", {
      parameters: { ...this.#inProject, environment, backup: id },
      query: { path: path.toString() },
    });
    return found.map(fileOf);
  }

  async backupArchive(
    { environment, id }: Backup,
    paths: readonly Buffer[],
    onProgress: (bytes: number) => void,
  ): Promise<TakenArchive> {
    const { bytes, summary } = await this.#client.bytes("getBackupArchive", {
      parameters: { ...this.#inProject, environment, backup: id },
      query: { path: paths.map(String) },
    });
    return { bytes: counted(bytes, onProgress), summary: () => archiveSummaryOf(summary()) };
  }

  async planBackup({ id }: ListedEnvironment, { live }: { readonly live: boolean }): Promise<BackupPlan> {
    const plan = await this.#client.call("planBackup", {
      parameters: { ...this.#inProject, environment: id },
      query: { safe: !live },
    });
    const replaces: Backup[] = [];
    for (const backup of plan.replaces) replaces.push(await this.findBackup(id, backup));
    return { replaces, manualCount: plan.manual_count ?? undefined, profile: plan.profile };
  }

  async createBackup(
    { id }: ListedEnvironment,
    { live }: { readonly live: boolean },
    run: Run,
  ): Promise<ListedBackup | Started> {
    const call = { parameters: { ...this.#inProject, environment: id }, body: { safe: !live } };
    const activity = acceptedActivity(await this.#client.call("createBackup", call));
    const backup = activity.payload["backup_name"] as BackupId;
    if (!run.wait) return { kind: "started", backup, log: undefined, activity: activity.id };
    await this.#await(activity, run);
    return patiently(this.#host, () => this.findBackup(id, backup));
  }

  async deleteBackup({ id }: ListedEnvironment, backup: BackupId, run: Run): Promise<"deleted" | "requested"> {
    const call = { parameters: { ...this.#inProject, environment: id, backup } };
    const activity = acceptedActivity(await this.#client.call("deleteBackup", call));
    if (!run.wait) return "requested";
    await this.#await(activity, run);
    return "deleted";
  }

  async planRestore(request: RestoreRequest): Promise<RestorePlan> {
    const plan = await this.#client.call("planRestore", this.#restoreCall(request));
    return {
      backup: await this.findBackup(request.origin.id, request.backup),
      parts: plan.parts.map(({ source, path }) => ({
        source: source as SourceId,
        ...(path === null ? {} : { below: path }),
      })),
      missingInEnvironment: plan.missing_in_environment as SourceId[],
      missingInBackup: plan.missing_in_backup as SourceId[],
      commitId: plan.commit_id,
      hasGateway: plan.has_gateway,
    };
  }

  async restore(request: RestoreRequest, run: Run): Promise<RestoreReport | Started> {
    const activity = acceptedActivity(await this.#client.call("restoreBackup", this.#restoreCall(request)));
    if (!run.wait) return { kind: "started", backup: undefined, log: undefined, activity: activity.id };
    const ended = await this.#await(activity, run);
    const backup = await patiently(this.#host, () => this.findBackup(request.origin.id, request.backup));
    const report = restoreReportOf(ended.payload, backup);
    if (report !== undefined) return report;
    const durationMs = (ended.timings["execute"] ?? 0) * 1000;
    return { backup, components: [], hold: null, durationMs, warnings: [] };
  }

  async retention(): Promise<DataRetention> {
    return (await this.#client.call("getSettings", { parameters: this.#inProject })).data_retention;
  }

  async changeSettings(change: unknown): Promise<void> {
    // The server says what is wrong with it.
    await this.#client.call("updateSettings", { parameters: this.#inProject, body: change as ProjectSettingsPatch });
  }

  async activities(filter: ActivityListFilter): Promise<readonly ListedActivity[]> {
    const { environment, types, states, result, before, limit } = filter;
    const query = {
      type: types.length === 0 ? undefined : types,
      state: states.length === 0 ? undefined : states,
      result,
      starts_at: before?.toISOString(),
      count: limit,
    };
    const found =
      environment === undefined
        ? await this.#client.call("listActivities", { parameters: this.#inProject, query })
        : await this.#client.call("listEnvironmentActivities", {
            parameters: { ...this.#inProject, environment },
            query,
          });
    return found.map(activityOf);
  }

  async activity(id: OperationId): Promise<ListedActivity> {
    return activityOf(await this.#client.call("getActivity", { parameters: { ...this.#inProject, activity: id } }));
  }

  async *activityLog(id: OperationId, { follow }: { readonly follow: boolean }): AsyncIterable<ActivityLogLine> {
    if (follow) {
      const { clock, signal } = this.#host;
      yield* followLog(this.#client, { project: this.project.id, activity: id, clock, signal });
      return;
    }
    const parameters = { ...this.#inProject, activity: id };
    for await (const { data, seal } of this.#client.lines("getActivityLog", { parameters, query: { max_delay: 0 } })) {
      if (seal !== true) yield { at: new Date(data.timestamp), message: data.message };
    }
  }

  async cancelActivity(id: OperationId): Promise<ListedActivity> {
    const call = { parameters: { ...this.#inProject, activity: id } };
    return acceptedActivity(await this.#client.call("cancelActivity", call));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Every request has a connection of its own.
  }

  get #inProject(): { readonly project: string } {
    return { project: this.project.id };
  }

  #await(activity: ListedActivity, { progress }: Run): Promise<ListedActivity> {
    return awaitActivity(this.#client, this.project.id, activity, progress, this.#host);
  }

  #restoreCall({ origin, target, backup, branchFrom, noCode, only, into }: RestoreRequest) {
    if (into !== undefined) {
      const folder = `'${into.replaceAll("'", String.raw`'\''`)}'`;
      const download = `holdfast backup:download ${backup} -p ${this.project.id} -e ${origin.id} -o -`;
      throw new HoldfastError(
        "INPUT_INVALID",
        "A server writes into no folder of this machine, so --into has no use.",
        {
          remedy: `Take the files out with:  mkdir -p ${folder} && ${download} | tar -x -f - -C ${folder}`,
        },
      );
    }
    return {
      parameters: { ...this.#inProject, environment: origin.id, backup },
      body: {
        environment_name: target.id,
        ...(branchFrom === undefined ? {} : { branch_from: branchFrom }),
        ...(noCode ? { restore_code: false } : {}),
        ...(only === undefined ? {} : { only: only.map((one) => ({ ...one })) }),
      },
    };
  }
}

type EnvironmentAnswer = Received<Operations["getEnvironment"]>;

const environmentOf = ({ id, title, type, status, parent }: EnvironmentAnswer): ListedEnvironment => ({
  id: id as EnvironmentId,
  title,
  type,
  status,
  parent: (parent ?? undefined) as EnvironmentId | undefined,
});

function acceptedActivity({ _embedded }: Received<Operations["createBackup"]>): ListedActivity {
  const [activity] = _embedded.activities;
  if (activity === undefined) throw new TypeError("the contract has one activity there");
  return activityOf(activity);
}
