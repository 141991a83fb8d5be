import { HoldfastError, type OperationId, throwIfAborted } from "../../base/index.ts";
import { type Activity, activityStates, activityTypes, type Actor, hasEnded } from "../../control/index.ts";
import type {
  ActivityListFilter,
  ActivityLogLine,
  ControlPlane,
  ListedActivity,
  ListedEnvironment,
} from "../control-plane.ts";
import type { Session } from "./session.ts";

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
    return found;
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

  async *activityLog(id: OperationId, { follow }: { readonly follow: boolean }): AsyncIterable<ActivityLogLine> {
    const { activities } = this.#session.catalog;
    const { signal } = this.#session.invocation.host;
    let changed = true;
    let wake = (): void => undefined;
    const leave = activities.watch(() => {
      changed = true;
      wake();
    });
    const onAbort = (): void => wake();
    signal.addEventListener("abort", onAbort);
    try {
      let next = 0;
      for (;;) {
        throwIfAborted(signal);
        changed = false;
        const ended = hasEnded(await this.activity(id));
        const entries = await activities.log(this.project.id, id, { from: next, limit: pieceLength });
        for (const { sequence, at, message } of entries) {
          yield { at, message: message.endsWith("\n") ? message : `${message}\n` };
          next = sequence + 1;
        }
        if (entries.length === pieceLength) continue;
        if (ended || !follow) return;
        if (!changed && !signal.aborted) await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      leave();
      signal.removeEventListener("abort", onAbort);
    }
  }

  cancelActivity(id: OperationId): Promise<Activity> {
    return this.#session.catalog.activities.cancel(this.project.id, id, this.#actor);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#session[Symbol.asyncDispose]();
  }

  get #actor(): Actor {
    return { id: "local", name: `command line on ${this.#session.invocation.composition.hostname}`, address: null };
  }
}

/** Lines that are read at once. */
const pieceLength = 500;
