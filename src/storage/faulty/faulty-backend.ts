import type { Backend, FileHandle, FileInfo, FileType } from "../backend.ts";

export type BackendOperation = "save" | "load" | "stat" | "list" | "remove" | "removeTemporaries" | "create";

/** What goes wrong. Each may throw, wait, or let the call pass. */
export interface Faults {
  /** Before the call reaches the storage. */
  readonly before?: (operation: BackendOperation, handle: FileHandle | undefined) => Promise<void> | void;
  /** After the storage has done it: a throw here is an answer that was lost on its way. */
  readonly after?: (operation: BackendOperation, handle: FileHandle | undefined) => Promise<void> | void;
  /** Changes what `load` returns. */
  readonly alter?: (handle: FileHandle, bytes: Buffer) => Buffer;
}

/** A backend in front of another one that fails as told, for tests. */
export class FaultyBackend implements Backend {
  readonly location: string;
  readonly #inner: Backend;
  readonly #faults: Faults;

  constructor(inner: Backend, faults: Faults) {
    this.location = inner.location;
    this.#inner = inner;
    this.#faults = faults;
  }

  save(handle: FileHandle, bytes: Uint8Array): Promise<void> {
    return this.#run("save", handle, () => this.#inner.save(handle, bytes));
  }

  async load(handle: FileHandle, range?: { readonly offset: number; readonly length: number }): Promise<Buffer> {
    const bytes = await this.#run("load", handle, () => this.#inner.load(handle, range));
    return this.#faults.alter?.(handle, bytes) ?? bytes;
  }

  stat(handle: FileHandle): Promise<FileInfo> {
    return this.#run("stat", handle, () => this.#inner.stat(handle));
  }

  async *list(type: FileType): AsyncIterable<FileInfo> {
    await this.#faults.before?.("list", undefined);
    yield* this.#inner.list(type);
    await this.#faults.after?.("list", undefined);
  }

  remove(handle: FileHandle): Promise<void> {
    return this.#run("remove", handle, () => this.#inner.remove(handle));
  }

  removeTemporaries(olderThanMs: number): Promise<number> {
    return this.#run("removeTemporaries", undefined, () => this.#inner.removeTemporaries(olderThanMs));
  }

  create(): Promise<void> {
    return this.#run("create", undefined, () => this.#inner.create());
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  async #run<T>(operation: BackendOperation, handle: FileHandle | undefined, call: () => Promise<T>): Promise<T> {
    await this.#faults.before?.(operation, handle);
    const result = await call();
    await this.#faults.after?.(operation, handle);
    return result;
  }
}
