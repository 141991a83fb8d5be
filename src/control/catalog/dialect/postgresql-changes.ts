import pg from "pg";
import {
  activityChannel,
  type ActivityListener,
  type ActivityName,
  type ChangeSource,
} from "../../activities/activity-feed.ts";

const reconnectAfterMs = 1000;

/**
 * What other processes change in a PostgreSQL database, by LISTEN on a connection of its own. When that breaks it is made
 * again; what was missed meanwhile may be anything, so that is told.
 */
export function postgresqlChanges(url: string, timeoutMs: number): ChangeSource {
  let current: Listening | undefined;
  return {
    start: (emit) => {
      current = new Listening(url, timeoutMs, emit);
    },
    stop: async () => {
      await current?.stop();
    },
  };
}

class Listening {
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #emit: ActivityListener;
  #client: pg.Client | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(url: string, timeoutMs: number, emit: ActivityListener) {
    this.#url = url;
    this.#timeoutMs = timeoutMs;
    this.#emit = emit;
    void this.#connect();
  }

  async #connect(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#url,
      application_name: "holdfast",
      connectionTimeoutMillis: this.#timeoutMs,
      keepAlive: true,
    });
    this.#client = client;
    client.on("notification", ({ payload }) => this.#emit(nameIn(payload)));
    // Also how a connection that could not be made ends.
    let ended = false;
    const onEnd = (): void => {
      if (ended) return;
      ended = true;
      this.#connectLater();
    };
    client.on("error", onEnd);
    client.on("end", onEnd);
    try {
      await client.connect();
      await client.query(`LISTEN ${activityChannel}`);
      this.#emit(undefined);
    } catch {
      // Whoever listens looks for itself now and then, and is told by that what is wrong with the database.
      onEnd();
      await client.end().catch(onEnd);
    }
  }

  #connectLater(): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#connect(), reconnectAfterMs);
    this.#timer.unref();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    // One that is broken has nothing left to end.
    await this.#client?.end().catch(() => undefined);
  }
}

function nameIn(payload: string | undefined): ActivityName | undefined {
  const parsed: unknown = payload === undefined ? undefined : parseOrNothing(payload);
  return typeof parsed === "object" && parsed !== null && "project" in parsed && "id" in parsed
    ? (parsed as ActivityName)
    : undefined;
}

/** Anybody who may connect to the database can notify. */
function parseOrNothing(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
