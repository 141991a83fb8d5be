import { close } from "node:fs";
import { cPath, lastErrorCode, libc, systemError } from "./libc.ts";

/** Bits of inotify(7). */
export const inotifyFlags = {
  modify: 0x2,
  attrib: 0x4,
  closeWrite: 0x8,
  movedFrom: 0x40,
  movedTo: 0x80,
  create: 0x100,
  delete: 0x200,
  deleteSelf: 0x400,
  moveSelf: 0x800,
  unmount: 0x2000,
  overflow: 0x4000,
  ignored: 0x8000,
  onlyDirectory: 0x1000000,
  excludeUnlinked: 0x4000000,
  isDirectory: 0x40000000,
} as const;

const nonblockCloexec = 0o2004000;
const headerBytes = 16;

export interface InotifyEvent {
  /** Which watch; -1 for an overflow. */
  readonly watch: number;
  readonly mask: number;
  /** Name within the watched directory as latin1 text (one character a byte); "" for the directory itself. */
  readonly name: string;
}

/** One inotify instance. Nothing here blocks. */
export class Inotify {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(262_144);
  #closed = false;

  /** @throws a system error: EMFILE past max_user_instances */
  constructor() {
    this.#fd = libc.inotifyInit(nonblockCloexec);
    if (this.#fd < 0) throw systemError(lastErrorCode(), "inotify_init1", Buffer.alloc(0));
  }

  /** Watches a directory; the same number again if it is watched already. @throws ENOSPC past max_user_watches, ENOENT */
  add(path: Buffer, mask: number): number {
    const watch = libc.inotifyAddWatch(this.#fd, cPath(path), mask);
    if (watch < 0) throw systemError(lastErrorCode(), "inotify_add_watch", path);
    return watch;
  }

  /** Ends a watch; one that the kernel has dropped already is fine. */
  remove(watch: number): void {
    if (libc.inotifyRmWatch(this.#fd, watch) < 0) {
      const code = lastErrorCode();
      if (code !== "EINVAL") throw systemError(code, "inotify_rm_watch", Buffer.alloc(0));
    }
  }

  /** Hands every queued event to `onEvent`, until the queue is empty. */
  drain(onEvent: (event: InotifyEvent) => void): void {
    // `onEvent` may close: the number would then be another file's.
    while (!this.#closed) {
      const length = libc.read(this.#fd, this.#buffer, this.#buffer.length);
      if (length < 0) {
        const code = lastErrorCode();
        if (code === "EAGAIN") return;
        if (code === "EINTR") continue;
        throw systemError(code, "read", Buffer.from("inotify"));
      }
      if (length === 0) return;
      for (let at = 0; at < length;) {
        const nameBytes = this.#buffer.readUInt32LE(at + 12);
        const nameStart = at + headerBytes;
        const nameField = this.#buffer.subarray(nameStart, nameStart + nameBytes);
        const nameEnd = nameField.indexOf(0);
        onEvent({
          watch: this.#buffer.readInt32LE(at),
          mask: this.#buffer.readUInt32LE(at + 4),
          name: nameField.toString("latin1", 0, nameEnd === -1 ? nameBytes : nameEnd),
        });
        at = nameStart + nameBytes;
      }
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    // Not in this thread: the kernel takes 20 ms to let go of some hundred watches, and a hold may be waiting.
    close(this.#fd);
  }
}
