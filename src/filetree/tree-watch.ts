import { statfsSync } from "node:fs";
import { systemErrorCode } from "../base/index.ts";
import type { EntryPath } from "../component/index.ts";
import type { EntryStat } from "./posix/directory-calls.ts";
import { Inotify, type InotifyEvent, inotifyFlags } from "./posix/inotify.ts";
import { isRemoteFileSystem } from "./posix/mount-points.ts";
import type { TreeDirectory } from "./tree-directory.ts";

interface WatchedDirectory {
  /** Latin1 text. */
  path: string;
  watch: number;
  readonly identity: string;
  parent: WatchedDirectory | undefined;
  readonly children: Set<WatchedDirectory>;
}

/** Why changes cannot be learnt from the kernel, as a person may want to read it. */
export interface WatchLoss {
  readonly kind: "watch-limit" | "watch-overflow" | "watch-unsupported";
  readonly message: string;
}

const mask =
  inotifyFlags.modify |
  inotifyFlags.attrib |
  inotifyFlags.closeWrite |
  inotifyFlags.movedFrom |
  inotifyFlags.movedTo |
  inotifyFlags.create |
  inotifyFlags.delete |
  inotifyFlags.deleteSelf |
  inotifyFlags.moveSelf |
  inotifyFlags.onlyDirectory |
  inotifyFlags.excludeUnlinked;

const changesNames = inotifyFlags.movedFrom | inotifyFlags.movedTo | inotifyFlags.create | inotifyFlags.delete;

/**
 * Learns from inotify(7) which paths of a tree to look at again. It sees neither writes through memory maps nor writes
 * through another name of a hard-linked file, nor what other machines do on a shared file system (those it refuses).
 * Memory is proportional to the number of directories and to what changed.
 */
export class TreeWatch {
  #inotify: Inotify | undefined;
  readonly #byWatch = new Map<number, WatchedDirectory>();
  readonly #byPath = new Map<string, WatchedDirectory>();
  readonly #knownDevices = new Set<bigint>();
  readonly #injectedQueueLimit: number | undefined;
  #dirty = new Set<string>();
  #loss: WatchLoss | undefined;
  #rootGone = false;

  /** `queueLimit`: take more events than that in one drain for an overflow; for tests. */
  constructor(options: { readonly queueLimit?: number } = {}) {
    this.#injectedQueueLimit = options.queueLimit;
    try {
      this.#inotify = new Inotify();
    } catch (error) {
      const code = systemErrorCode(error);
      if (code !== "EMFILE" && code !== "ENFILE" && code !== "ENOSYS") throw error;
      this.#lose(
        "watch-limit",
        `The kernel gives no inotify instance (${code}); raise fs.inotify.max_user_instances with sysctl.`,
      );
    }
  }

  /** Set once changes may have been missed: from then on only a scan of the whole tree tells what changed. */
  get loss(): WatchLoss | undefined {
    return this.#loss;
  }

  /** The root itself was moved, removed or unmounted. */
  get rootGone(): boolean {
    return this.#rootGone;
  }

  get directories(): number {
    return this.#byWatch.size;
  }

  get dirtyCount(): number {
    return this.#dirty.size;
  }

  /** Watches a directory that is open at this path. Call before its names are read. */
  add(path: EntryPath, directory: TreeDirectory, stat: EntryStat): void {
    if (this.#inotify === undefined) return;
    if (!this.#knownDevices.has(stat.dev)) {
      this.#knownDevices.add(stat.dev);
      const type = statfsSync(directory.path).type;
      if (isRemoteFileSystem(type)) {
        this.#lose("watch-unsupported", "The file system is a shared one, on which other machines' changes go unseen.");
        return;
      }
    }
    let watch: number;
    try {
      watch = this.#inotify.add(directory.path, mask);
    } catch (error) {
      const code = systemErrorCode(error);
      if (code === "ENOSPC" || code === "ENOMEM") {
        this.#lose(
          "watch-limit",
          `The kernel watches no more than the ${this.#byWatch.size} directories seen so far (${code}); raise fs.inotify.max_user_watches with sysctl.`,
        );
        return;
      }
      if (code === undefined) throw error;
      this.#lose("watch-unsupported", `A directory cannot be watched (${code}).`);
      return;
    }
    const text = path.toString("latin1");
    const known = this.#byWatch.get(watch);
    // The same directory under its new name: the kernel keeps one watch for it.
    if (known !== undefined) this.#detach(known);
    const before = this.#byPath.get(text);
    if (before !== undefined && before.watch !== watch) this.#forget(before);
    const parentPath = text.includes("/") ? text.slice(0, text.lastIndexOf("/")) : "";
    const parent = text === "" ? undefined : this.#byPath.get(parentPath);
    const node: WatchedDirectory = {
      path: text,
      watch,
      identity: `${stat.dev}:${stat.ino}`,
      parent,
      children: new Set(),
    };
    parent?.children.add(node);
    this.#byWatch.set(watch, node);
    this.#byPath.set(text, node);
  }

  /** Whether the directory at this path is watched, and is this one. */
  watches(path: EntryPath, stat: EntryStat): boolean {
    return this.#byPath.get(path.toString("latin1"))?.identity === `${stat.dev}:${stat.ino}`;
  }

  /** Takes the kernel's queue to its end. Call often: it holds only so many events. */
  drain(): void {
    let events = 0;
    this.#inotify?.drain((event) => {
      events += 1;
      if (events > (this.#injectedQueueLimit ?? Number.POSITIVE_INFINITY)) {
        this.#onEvent({ watch: -1, mask: inotifyFlags.overflow, name: "" });
      }
      this.#onEvent(event);
    });
  }

  /** The paths to look at again, handed over: the set starts anew. Latin1 text; "" is the root. */
  takeDirty(): Set<string> {
    const taken = this.#dirty;
    this.#dirty = new Set();
    return taken;
  }

  markDirty(path: EntryPath | string): void {
    this.#dirty.add(typeof path === "string" ? path : path.toString("latin1"));
  }

  /** After a loss: starts over. The caller scans the tree anew and so adds every directory again. */
  restart(): void {
    this.close();
    this.#loss = undefined;
    this.#byWatch.clear();
    this.#byPath.clear();
    this.#dirty.clear();
    this.#inotify = new Inotify();
  }

  close(): void {
    this.#inotify?.close();
    this.#inotify = undefined;
  }

  #onEvent(event: InotifyEvent): void {
    if ((event.mask & inotifyFlags.overflow) !== 0) {
      this.#lose("watch-overflow", "More changed than the kernel's queue of events holds.");
      return;
    }
    const node = this.#byWatch.get(event.watch);
    // A watch that was dropped before its last events were read: its directory has been looked at since.
    if (node === undefined) return;
    if ((event.mask & inotifyFlags.unmount) !== 0) {
      this.#lose("watch-unsupported", "A file system in the tree was unmounted.");
      if (node.path === "") this.#rootGone = true;
      return;
    }
    if ((event.mask & (inotifyFlags.deleteSelf | inotifyFlags.moveSelf)) !== 0 && node.path === "") {
      this.#rootGone = true;
    }
    if ((event.mask & inotifyFlags.ignored) !== 0) {
      if (this.#byWatch.get(event.watch) === node) this.#detach(node);
      return;
    }
    if (event.name === "") {
      this.#dirty.add(node.path);
      return;
    }
    const path = node.path === "" ? event.name : `${node.path}/${event.name}`;
    this.#dirty.add(path);
    if ((event.mask & changesNames) === 0) return;
    this.#dirty.add(node.path);
    if ((event.mask & inotifyFlags.isDirectory) !== 0) {
      const child = this.#byPath.get(path);
      if (child !== undefined) this.#forget(child);
    }
  }

  /** Ends the watches of a directory that is no longer at its path, and of all below it. */
  #forget(node: WatchedDirectory): void {
    for (const child of node.children) this.#forget(child);
    this.#detach(node);
    this.#inotify?.remove(node.watch);
  }

  #detach(node: WatchedDirectory): void {
    node.parent?.children.delete(node);
    if (this.#byPath.get(node.path) === node) this.#byPath.delete(node.path);
    if (this.#byWatch.get(node.watch) === node) this.#byWatch.delete(node.watch);
  }

  #lose(kind: WatchLoss["kind"], message: string): void {
    this.#loss ??= { kind, message };
    this.#dirty.clear();
    if (kind !== "watch-overflow") this.close();
  }
}
