import type { ActivityId } from "./activity.ts";

/** PostgreSQL's NOTIFY channel. */
export const activityChannel = "holdfast_activities";

export interface ActivityName {
  readonly project: string;
  readonly id: ActivityId;
  /** Not only its log and its figures: what may begin, or must stop, may be another now. */
  readonly state: boolean;
}

/** Called when an activity, or its log, changed; with undefined when any may have. */
export type ActivityListener = (changed: ActivityName | undefined) => void;

/** How a database tells of changes that other connections make. `start` is called with the first listener, `stop` after the last. */
export interface ChangeSource {
  start(emit: ActivityListener): void;
  stop(): void | Promise<void>;
}

/** Tells of changes to activities: of this process at once, of others as the database does. */
export class ActivityFeed {
  readonly #source: ChangeSource;
  readonly #listeners = new Set<ActivityListener>();
  #closed = false;

  constructor(source: ChangeSource) {
    this.#source = source;
  }

  /** Calls `listener` until the function that is returned is called. A change may be told more than once. */
  subscribe(listener: ActivityListener): () => void {
    if (this.#closed) throw new TypeError("The catalog is closed.");
    if (this.#listeners.size === 0) this.#source.start((changed) => this.emit(changed));
    // Of its own, so that subscribing one function twice and leaving once keeps the other.
    const own: ActivityListener = (changed) => listener(changed);
    this.#listeners.add(own);
    return () => {
      if (this.#listeners.delete(own) && this.#listeners.size === 0 && !this.#closed) void this.#source.stop();
    };
  }

  emit(changed: ActivityName | undefined): void {
    for (const listener of this.#listeners) listener(changed);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const watched = this.#listeners.size > 0;
    this.#listeners.clear();
    if (watched) await this.#source.stop();
  }
}
