import { type Clock, type Logger, messageOf } from "../../base/index.ts";
import type { QueueWorker } from "../activities/activity-queue.ts";
import type { OpenCatalog } from "../catalog/open-catalog.ts";
import { runClaim } from "./run-claim.ts";
import type { WorkerHost } from "./worker-host.ts";

export interface WorkerOptions {
  readonly catalog: OpenCatalog;
  readonly host: WorkerHost;
  /** For people, unique: "db-1:4711". */
  readonly id: string;
  /** From `workerPlace`. */
  readonly place: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** How many activities at once. Default 4. */
  readonly concurrency?: number;
  /** How long a worker may not be heard of until another takes over. Default 30 s. */
  readonly leaseMs?: number;
  /** How often it looks for work that it was not told of: the lease of another that is over. Default 2 s. */
  readonly pollMs?: number;
  /** How long running activities may go on once it is to stop; then they are undone and given back. Default 20 s. */
  readonly graceMs?: number;
}

/** At most this many in progress at once in a project without a setting, and in one storage. */
const limits = { inProject: 2, inStorage: 4 };

/** Takes activities from the queue and does what they ask for. */
export class ActivityWorker {
  readonly #options: Required<WorkerOptions>;
  readonly #worker: QueueWorker;
  readonly #running = new Set<Promise<void>>();
  #wake: () => void = () => undefined;
  #isWoken = false;

  constructor(options: WorkerOptions) {
    this.#options = { concurrency: 4, leaseMs: 30_000, pollMs: 2000, graceMs: 20_000, ...options };
    const served = new Set(
      options.host.environments.map(({ project, environment }) => JSON.stringify([project, environment])),
    );
    this.#worker = {
      id: options.id,
      place: options.place,
      serves: (project, environment) => served.has(JSON.stringify([project, environment])),
    };
  }

  /** Works until the signal; resolves when what ran has ended or has been given back. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const wake = (): void => {
      this.#isWoken = true;
      this.#wake();
    };
    const leave = this.#options.catalog.activities.watch((changed) => {
      if (changed?.state !== false) wake();
    });
    signal.addEventListener("abort", wake);
    try {
      while (!signal.aborted) {
        this.#isWoken = false;
        if (this.#running.size < this.#options.concurrency && (await this.#takeOne(stop.signal, wake))) continue;
        await this.#waitUntilWoken(signal);
      }
    } finally {
      leave();
      signal.removeEventListener("abort", wake);
    }
    const grace = setTimeout(() => stop.abort(), this.#options.graceMs);
    await Promise.all(this.#running);
    clearTimeout(grace);
  }

  async #takeOne(stop: AbortSignal, wake: () => void): Promise<boolean> {
    const { catalog, clock, log, leaseMs } = this.#options;
    const askedAtMs = clock.monotonicMs();
    try {
      const claim = await catalog.queue.claim(this.#worker, { leaseMs, limits });
      if (claim === undefined) return false;
      const run = runClaim(this.#options, claim, askedAtMs, stop).finally(() => {
        this.#running.delete(run);
        wake();
      });
      this.#running.add(run);
      return true;
    } catch (error) {
      log.warn("The catalog could not be asked for work", { reason: messageOf(error) });
      return false;
    }
  }

  async #waitUntilWoken(signal: AbortSignal): Promise<void> {
    if (this.#isWoken || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#options.pollMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = () => undefined;
  }
}
