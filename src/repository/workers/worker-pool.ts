import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { HoldfastError, throwIfAborted } from "../../base/index.ts";
import type { Answer, FinishedPack, Job, JobKind, JobResults, Order, Request, SessionSetup } from "./protocol.ts";
import { fromPortable } from "./protocol.ts";
import { keepMemorySmall } from "./small-memory.ts";
import { stripTypesSafely } from "./stripped-types.ts";

// Sources are run as they are, or compiled: the worker's file has the ending of this one.
const isSource = import.meta.url.endsWith(".ts");
const workerFile = new URL(isSource ? "./worker-main.ts" : "./worker-main.js", import.meta.url);

/** Its jobs leave little behind: the default of a young generation of 48 MB is memory for nothing. */
const resourceLimits = { maxYoungGenerationSizeMb: 6 } as const;

interface Task {
  readonly job: Job | Order;
  readonly transfer: readonly ArrayBuffer[];
  readonly signal: AbortSignal | undefined;
  readonly resolve: (result: JobResults[JobKind]) => void;
  readonly reject: (error: unknown) => void;
}

interface WorkerState {
  readonly worker: Worker;
  /** Settled when it is ready, or has ended. */
  readonly loaded: Promise<void>;
  readonly onLoaded: () => void;
  /** Orders first: they are for this worker only. */
  readonly orders: Task[];
  running: { readonly id: number; readonly task: Task } | undefined;
}

export interface SessionHandlers {
  /** Called for every finished pack; whoever takes it lowers the session's flow when it is saved. */
  readonly onPack?: (pack: FinishedPack) => void;
}

/**
 * Threads that do the work on bytes. The first starts with the first session, each further one when a job waits; so a
 * backup in which nothing has changed starts one. They run one job at a time each, and serve all sessions (writers and
 * readers) of a repository. A thread that dies fails everything: INTERNAL.
 */
export class WorkerPool {
  readonly #size: number;
  readonly #program: URL;
  readonly #workers: WorkerState[] = [];
  readonly #waiting: Task[] = [];
  readonly #sessions = new Map<number, SessionHandlers & { readonly setup: SessionSetup }>();
  #nextId = 1;
  #nextSession = 1;
  #failure: HoldfastError | undefined;
  #closed = false;

  /** `threads`: default the number of processors, at most 8. `program`: what the threads run; for tests. */
  constructor(options: { readonly threads?: number; readonly program?: URL } = {}) {
    this.#program = options.program ?? workerFile;
    this.#size = options.threads ?? Math.min(availableParallelism(), 8);
    if (!Number.isInteger(this.#size) || this.#size < 1) throw new RangeError("A pool has at least one thread.");
  }

  get size(): number {
    return this.#size;
  }

  /** Starts the first thread, so that it is there when the first session is opened. */
  start(): void {
    if (this.#workers.length === 0 && !this.#closed && this.#failure === undefined) this.#startOne();
  }

  /** Makes a session known to every worker; returns its number. */
  async openSession(setup: Omit<SessionSetup, "session">, handlers: SessionHandlers = {}): Promise<number> {
    this.start();
    const session = this.#nextSession;
    this.#nextSession += 1;
    const full: SessionSetup = { ...setup, session };
    this.#sessions.set(session, { ...handlers, setup: full });
    await this.order({ kind: "open-session", setup: full });
    return session;
  }

  /** Drops the session in every worker. Its waiting jobs are rejected with `reason`. */
  async closeSession(session: number, reason: HoldfastError): Promise<void> {
    if (!this.#sessions.delete(session)) return;
    for (let at = this.#waiting.length - 1; at >= 0; at -= 1) {
      const { job } = this.#waiting[at] as Task;
      if ("session" in job && job.session === session) this.#waiting.splice(at, 1)[0]?.reject(reason);
    }
    if (this.#failure === undefined && !this.#closed) await this.order({ kind: "close-session", session });
  }

  /**
   * Gives the job to the first thread that is free. @throws what the job throws; INTERRUPTED if it was aborted before it
   * began, or the pool is closed before its end; INTERNAL if a thread died, or the pool was closed before
   */
  run<K extends Job["kind"]>(
    job: Extract<Job, { kind: K }>,
    options: { readonly transfer?: readonly ArrayBuffer[]; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<JobResults[K]> {
    return new Promise<JobResults[K]>((resolve, reject) => {
      const unusable = this.#unusable();
      if (unusable !== undefined) {
        reject(unusable);
        return;
      }
      this.#waiting.push({
        job,
        transfer: options.transfer ?? [],
        signal: options.signal,
        resolve: resolve as Task["resolve"],
        reject,
      });
      this.#dispatch();
    });
  }

  /** Has every worker follow the order, each after what it is doing. */
  async order(order: Order): Promise<void> {
    const unusable = this.#unusable();
    if (unusable !== undefined) throw unusable;
    const done = this.#workers.map(
      (state) =>
        new Promise<unknown>((resolve, reject) => {
          state.orders.push({ job: order, transfer: [], signal: undefined, resolve, reject });
        }),
    );
    this.#dispatch();
    await Promise.all(done);
  }

  /** Ends the threads. Unfinished jobs are rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#rejectAll(new HoldfastError("INTERRUPTED", "The repository was closed while work on it was going on."));
    await Promise.all(this.#workers.splice(0).map(end));
  }

  #unusable(): HoldfastError | undefined {
    if (this.#closed) return new HoldfastError("INTERNAL", "The repository's workers have been closed.");
    return this.#failure;
  }

  /** Starts a thread that knows all sessions there are. */
  #startOne(): void {
    keepMemorySmall();
    if (isSource) stripTypesSafely();
    // Files that a worker opens for reuse are closed by this thread: at its end it must not close their numbers.
    const options = { name: "holdfast-repository", execArgv: [], trackUnmanagedFds: false, resourceLimits };
    const worker = new Worker(this.#program, options);
    const orders = [...this.#sessions.values()].map(({ setup }): Task => {
      const reject = (error: unknown): void => this.#fail(`A worker thread opens no session: ${String(error)}`, error);
      return {
        job: { kind: "open-session", setup },
        transfer: [],
        signal: undefined,
        resolve: () => undefined,
        reject,
      };
    });
    const { promise: loaded, resolve: onLoaded } = Promise.withResolvers<void>();
    const state: WorkerState = { worker, loaded, onLoaded, orders, running: undefined };
    worker.on("message", (message: Answer) => this.#receive(state, message));
    worker.on("error", (error) => this.#fail(`A worker thread died: ${String(error)}`, error));
    worker.on("exit", (code) => {
      onLoaded();
      this.#fail(`A worker thread ended with code ${code}.`);
    });
    // An idle pool must not keep a process alive that has forgotten to close it.
    worker.unref();
    this.#workers.push(state);
  }

  #receive(state: WorkerState, message: Answer): void {
    if (message.kind === "ready") {
      state.onLoaded();
      return;
    }
    if (message.kind === "pack") {
      this.#sessions.get(message.pack.session)?.onPack?.(message.pack);
      return;
    }
    const { running } = state;
    if (running === undefined || running.id !== message.id) {
      this.#fail("A worker thread answered a question that was not asked.");
      return;
    }
    state.running = undefined;
    state.worker.unref();
    if (message.kind === "done") running.task.resolve(message.result as JobResults[JobKind]);
    else running.task.reject(fromPortable(message.error));
    this.#dispatch();
  }

  #dispatch(): void {
    for (const state of this.#workers) {
      while (state.running === undefined) {
        const task = state.orders.shift() ?? this.#waiting.shift();
        if (task === undefined) break;
        this.#begin(state, task);
      }
    }
    if (this.#closed || this.#failure !== undefined || this.#workers.length >= this.#size) return;
    // A thread that has yet to open its sessions will take a job of those that wait.
    const starting = this.#workers.filter(({ running }) => running?.task.job.kind === "open-session").length;
    if (this.#waiting.length <= starting) return;
    this.#startOne();
    this.#dispatch();
  }

  #begin(state: WorkerState, task: Task): void {
    const id = this.#nextId;
    this.#nextId += 1;
    try {
      throwIfAborted(task.signal);
      const request: Request = { id, job: task.job };
      state.worker.postMessage(request, task.transfer);
    } catch (error) {
      task.reject(error);
      return;
    }
    state.running = { id, task };
    state.worker.ref();
  }

  #fail(message: string, cause?: unknown): void {
    if (this.#closed || this.#failure !== undefined) return;
    this.#failure = new HoldfastError("INTERNAL", message, { cause });
    this.#rejectAll(this.#failure);
    for (const state of this.#workers) void end(state);
  }

  #rejectAll(error: HoldfastError): void {
    const tasks = this.#waiting.splice(0);
    for (const state of this.#workers) {
      tasks.push(...state.orders.splice(0));
      if (state.running !== undefined) tasks.push(state.running.task);
      state.running = undefined;
    }
    for (const task of tasks) task.reject(error);
  }
}

/** A native library that is being loaded when its thread is terminated aborts the whole process. */
async function end({ worker, loaded }: WorkerState): Promise<void> {
  worker.ref();
  await loaded;
  await worker.terminate();
}
