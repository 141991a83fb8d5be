import { setTimeout as delay } from "node:timers/promises";
import { HoldfastError } from "../../base/index.ts";
import type { Backend, FileHandle, FileInfo, FileType } from "../backend.ts";

/**
 * What goes wrong at one call:
 * - refuse: the call fails and does nothing;
 * - lose-answer: it is done, and fails all the same;
 * - cut: a load gives half the bytes, a list half the files and then fails, a save finds no room;
 * - delay: it is done late;
 * - reorder: it is done after the call that comes next;
 * - kill-before, kill-after: as if the process were killed before or after it: every later call fails.
 */
export const callFaults = [
  "refuse",
  "lose-answer",
  "cut",
  "delay",
  "reorder",
  "kill-before",
  "kill-after",
] as const satisfies readonly string[];
export type CallFault = (typeof callFaults)[number];

const delayMs = 20;
/** How long a call that is to be overtaken waits for another one, if none comes. */
const longestWaitMs = 50;

/** A backend in front of another one whose n-th call after `arm`, from 1, goes wrong; for tests that try each n. */
export class FaultAtCall implements Backend {
  readonly location: string;
  readonly #inner: Backend;
  readonly #n: number;
  readonly #fault: CallFault;
  #armed = false;
  #calls = 0;
  #dead = false;
  #overtaken: (() => void) | undefined;
  /** Files whose removal a power cut may undo: the contract makes only saves durable, and removals that matter. */
  readonly #undurable: { readonly handle: FileHandle; readonly bytes: Buffer }[] = [];

  constructor(inner: Backend, n: number, fault: CallFault) {
    this.location = inner.location;
    this.#inner = inner;
    this.#n = n;
    this.#fault = fault;
  }

  /** Counts calls from here on. */
  arm(): void {
    this.#armed = true;
  }

  /** True once the fault has happened. */
  get struck(): boolean {
    return this.#calls >= this.#n;
  }

  /** True after "kill-before" and "kill-after" have happened. */
  get killed(): boolean {
    return this.#dead;
  }

  /** Brings back the files whose removal was not durable when the process was killed. */
  async loseUndurable(): Promise<void> {
    for (const { handle, bytes } of this.#undurable) await this.#inner.save(handle, bytes);
  }

  save(handle: FileHandle, bytes: Uint8Array): Promise<void> {
    const save = (): Promise<void> => this.#inner.save(handle, bytes);
    // A save that is cut off leaves nothing, as the contract has it.
    return this.#call(`saving ${handle.type}`, save, () => {
      throw new HoldfastError("STORAGE_FULL", `No room for the ${handle.type}, as the test asked for.`);
    });
  }

  load(handle: FileHandle, range?: { readonly offset: number; readonly length: number }): Promise<Buffer> {
    const load = (): Promise<Buffer> => this.#inner.load(handle, range);
    return this.#call(`loading ${handle.type}`, load, async () => {
      const bytes = await load();
      return Buffer.from(bytes.subarray(0, bytes.length >> 1));
    });
  }

  stat(handle: FileHandle): Promise<FileInfo> {
    return this.#call(`looking up ${handle.type}`, () => this.#inner.stat(handle));
  }

  async *list(type: FileType): AsyncIterable<FileInfo> {
    const list = (): Promise<FileInfo[]> => collect(this.#inner.list(type));
    let whole = true;
    const infos = await this.#call(`listing ${type}`, list, async () => {
      whole = false;
      const found = await list();
      return found.slice(0, found.length >> 1);
    });
    for (const info of infos) {
      if (this.#dead) throw failure(`listing ${type}`);
      yield info;
    }
    if (!whole) throw failure(`listing ${type}`);
  }

  remove(handle: FileHandle): Promise<void> {
    return this.#call(`removing ${handle.type}`, async () => {
      const durable = handle.type !== "data" && handle.type !== "lock";
      if (!durable) this.#undurable.push({ handle, bytes: await this.#inner.load(handle) });
      await this.#inner.remove(handle);
    });
  }

  removeTemporaries(olderThanMs: number): Promise<number> {
    return this.#call("removing temporaries", () => this.#inner.removeTemporaries(olderThanMs));
  }

  create(): Promise<void> {
    return this.#call("creating", () => this.#inner.create());
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #call<T>(what: string, call: () => Promise<T>, cut?: () => Promise<T>): Promise<T> {
    if (this.#dead) throw failure(what);
    if (!this.#armed) return call();
    this.#calls += 1;
    this.#overtaken?.();
    const fault = this.#calls === this.#n ? this.#fault : undefined;
    switch (fault) {
      case "refuse":
        throw failure(what);
      case "kill-before":
        this.#dead = true;
        throw failure(what);
      case "cut":
        if (cut === undefined) throw failure(what);
        return cut();
      case "delay":
        await delay(delayMs);
        break;
      case "reorder":
        await Promise.race([new Promise<void>((resolve) => (this.#overtaken = resolve)), delay(longestWaitMs)]);
        break;
      case "lose-answer":
      case "kill-after":
      case undefined:
    }
    const result = await call();
    if (fault === "kill-after") this.#dead = true;
    // What was under way when the process was killed may have been done, but nobody heard of it.
    if (fault === "lose-answer" || this.#dead) throw failure(what);
    return result;
  }
}

async function collect(infos: AsyncIterable<FileInfo>): Promise<FileInfo[]> {
  const collected: FileInfo[] = [];
  for await (const info of infos) collected.push(info);
  return collected;
}

function failure(what: string): HoldfastError {
  return new HoldfastError("STORAGE_TRANSIENT", `Failed ${what}, as the test asked for.`);
}
