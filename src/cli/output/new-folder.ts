import { randomBytes } from "node:crypto";
import { chmod, lchown, link, lutimes, mkdir, open, readdir, rename, rm, symlink } from "node:fs/promises";
import { dirname } from "node:path";
import type { TarEntry } from "../../archive/index.ts";
import { HoldfastError, systemErrorCode, throwIfAborted } from "../../base/index.ts";
import { printableBytes } from "./printable.ts";
import { unwritable } from "./output-file.ts";

const slash = Buffer.from("/");

/**
 * A folder that is written whole or not at all: beside its place, under a name of its own with mode 0700, and renamed
 * when it is complete. Modes and times are taken over, owners by root only; extended attributes are not. Nothing is
 * written through a link: each parent is a folder that was made here.
 */
export class NewFolder implements AsyncDisposable {
  readonly #target: string;
  readonly #partial: Buffer;
  readonly #folders = new Map<string, TarEntry | undefined>();
  readonly leftOut: Buffer[] = [];
  files = 0;
  bytes = 0;

  private constructor(target: string, partial: string) {
    this.#target = target;
    this.#partial = Buffer.from(partial);
    this.#folders.set("", undefined);
  }

  /** @throws HoldfastError INPUT_INVALID: `target` is not empty, or its parent folder cannot be written */
  static async beside(target: string): Promise<NewFolder> {
    try {
      if ((await readdir(target)).length > 0) {
        throw new HoldfastError("INPUT_INVALID", `The folder ${target} is not empty.`, {
          facts: { directory: target },
          remedy: "Name a folder that is empty or does not exist yet.",
        });
      }
    } catch (error) {
      if (systemErrorCode(error) !== "ENOENT") throw unwritable(target, error);
    }
    const partial = `${target}.${randomBytes(6).toString("hex")}.partial`;
    try {
      await mkdir(partial, { mode: 0o700 });
    } catch (error) {
      throw unwritable(target, error);
    }
    return new NewFolder(target, partial);
  }

  /**
   * @param path below the folder, empty for itself; missing folders above it are made
   * @param linked for a hard link: the path of the file that it is another name of
   * @throws HoldfastError ENTRY_UNSAFE, TARGET_FULL, INPUT_INVALID
   */
  async write(entry: TarEntry, path: Buffer, linked: Buffer | undefined, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    refuseUnsafe(path);
    try {
      await this.#makeParents(path);
      const place = this.#place(path);
      if (entry.type === "dir") {
        const key = path.toString("latin1");
        if (!this.#folders.has(key)) await mkdir(place, { mode: 0o700 });
        this.#folders.set(key, entry);
      } else if (entry.type === "link") {
        const from = linked ?? Buffer.alloc(0);
        refuseUnsafe(from);
        if (!this.#folders.has(parentOf(from))) throw unsafe(path);
        await link(this.#place(from), place);
        this.files += 1;
      } else if (entry.type === "symlink") {
        await symlink(entry.linkName, place);
        await takeOver(place, entry);
        this.files += 1;
      } else if (entry.type === "file") {
        await this.#writeFile(place, entry, signal);
      } else {
        this.leftOut.push(path);
      }
    } catch (error) {
      throw unwritable(this.#target, error);
    }
  }

  /** Puts it in its place. */
  async complete(): Promise<void> {
    try {
      // From the innermost out: what is made in a folder changes its time.
      const folders = [...this.#folders].toReversed();
      for (const [key, entry] of folders) {
        if (entry !== undefined) await takeOver(this.#place(Buffer.from(key, "latin1")), entry);
      }
      await rename(this.#partial, this.#target);
    } catch (error) {
      throw unwritable(this.#target, error);
    }
  }

  /** What is not complete goes. */
  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#partial.toString(), { recursive: true, force: true });
  }

  #place(path: Buffer): Buffer {
    return path.length === 0 ? this.#partial : Buffer.concat([this.#partial, slash, path]);
  }

  async #makeParents(path: Buffer): Promise<void> {
    const parent = parentOf(path);
    if (this.#folders.has(parent)) return;
    await this.#makeParents(Buffer.from(parent, "latin1"));
    await mkdir(this.#place(Buffer.from(parent, "latin1")), { mode: 0o700 });
    this.#folders.set(parent, undefined);
  }

  async #writeFile(place: Buffer, entry: TarEntry, signal: AbortSignal): Promise<void> {
    const handle = await open(place, "wx", 0o600);
    try {
      for await (const chunk of entry.body) {
        throwIfAborted(signal);
        let offset = 0;
        while (offset < chunk.length) offset += (await handle.write(chunk, offset)).bytesWritten;
      }
    } finally {
      await handle.close();
    }
    await takeOver(place, entry);
    this.files += 1;
    this.bytes += entry.sizeBytes;
  }
}

async function takeOver(place: Buffer, { type, mode, uid, gid, modifiedAt }: TarEntry): Promise<void> {
  if (process.getuid?.() === 0) await lchown(place, uid, gid);
  if (type !== "symlink") await chmod(place, mode);
  await lutimes(place, modifiedAt, modifiedAt);
}

/** As a key of the folders: one sign a byte. */
function parentOf(path: Buffer): string {
  const name = dirname(path.toString("latin1"));
  return name === "." ? "" : name;
}

function refuseUnsafe(path: Buffer): void {
  if (path.length === 0) return;
  const names = path.toString("latin1").split("/");
  if (path.includes(0) || names.some((name) => name === "" || name === "." || name === "..")) throw unsafe(path);
}

const unsafe = (path: Buffer): HoldfastError =>
  new HoldfastError("ENTRY_UNSAFE", `The archive has an entry that leads out of its folder: ${printableBytes(path)}`);
