import type { EnvironmentId, OperationId, ProjectId } from "../../base/index.ts";
import { addressText, type ApiClient, followLog } from "../../client/index.ts";
import { chooseProject } from "../choose.ts";
import type {
  ActivityListFilter,
  ActivityLogLine,
  ControlPlane,
  ListedActivity,
  ListedEnvironment,
} from "../control-plane.ts";
import type { CliHost } from "../host.ts";
import type { Invocation } from "../offline/session.ts";
import { activityOf } from "./activity-answers.ts";

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
    return found
      .filter(({ attributes }) => attributes["declared"] !== "false")
      .map(({ id, title, type, status, parent }) => ({
        id: id as EnvironmentId,
        title,
        type,
        status,
        parent: (parent ?? undefined) as EnvironmentId | undefined,
      }));
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
    const { _embedded } = await this.#client.call("cancelActivity", {
      parameters: { ...this.#inProject, activity: id },
    });
    const [activity] = _embedded.activities;
    if (activity === undefined) throw new TypeError("the contract has one activity there");
    return activityOf(activity);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Every request has a connection of its own.
  }

  get #inProject(): { readonly project: string } {
    return { project: this.project.id };
  }
}
