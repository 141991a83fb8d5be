import { HoldfastError } from "../../base/index.ts";
import type { Backend, FileHandle, FileInfo, FileType } from "../backend.ts";
import { checkHandle, describeHandle } from "../file-name.ts";

/** A backend in memory, for tests. It keeps copies, so that no caller can change what is stored. */
export class MemoryBackend implements Backend {
  readonly location = "memory:";
  readonly #files = new Map<string, Buffer>();

  async save(handle: FileHandle, bytes: Uint8Array): Promise<void> {
    checkHandle(handle);
    const key = keyOf(handle);
    if (this.#files.has(key)) {
      throw new HoldfastError("STORAGE_EXISTS", `The ${describeHandle(handle)} is already in memory.`);
    }
    this.#files.set(key, Buffer.from(bytes));
  }

  async load(handle: FileHandle, range?: { readonly offset: number; readonly length: number }): Promise<Buffer> {
    const file = this.#find(handle);
    const { offset, length } = range ?? { offset: 0, length: file.length };
    if (offset < 0 || length < 0 || offset + length > file.length) {
      throw new HoldfastError(
        "STORAGE_RANGE",
        `The ${describeHandle(handle)} has ${file.length} bytes; ${offset + length} were asked for.`,
      );
    }
    return Buffer.from(file.subarray(offset, offset + length));
  }

  async stat(handle: FileHandle): Promise<FileInfo> {
    return { name: handle.name, sizeBytes: this.#find(handle).length };
  }

  async *list(type: FileType): AsyncIterable<FileInfo> {
    if (type === "config") return;
    for (const [key, bytes] of Array.from(this.#files)) {
      const name = key.slice(type.length + 1);
      if (key.startsWith(`${type}/`) && this.#files.has(key)) yield { name, sizeBytes: bytes.length };
    }
  }

  async remove(handle: FileHandle): Promise<void> {
    checkHandle(handle);
    this.#files.delete(keyOf(handle));
  }

  async removeTemporaries(): Promise<number> {
    return 0;
  }

  async create(): Promise<void> {
    // Memory needs no folders.
  }

  async close(): Promise<void> {
    // The files stay, so that a test can open the same repository again.
  }

  #find(handle: FileHandle): Buffer {
    checkHandle(handle);
    const file = this.#files.get(keyOf(handle));
    if (file === undefined) {
      throw new HoldfastError("STORAGE_NOT_FOUND", `The ${describeHandle(handle)} is not in memory.`);
    }
    return file;
  }
}

const keyOf = ({ type, name }: FileHandle): string => `${type}/${name}`;
