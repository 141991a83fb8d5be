import { chmodSync, lchownSync } from "node:fs";
import { formatBytes, HoldfastError, systemErrorCode } from "../base/index.ts";
import type { EntryMetadata, Warning } from "../component/index.ts";
import { setModificationTime } from "./posix/files.ts";
import { readXattrs, removeXattr, writeXattr } from "./posix/xattrs.ts";

const setIdBits = 0o6000;

/** Puts owners, attributes, times and modes on what was written, and collects what could not be set. */
export class MetadataWriter {
  #ownersMissed = 0;
  readonly #attributesMissed = new Map<string, number>();
  #devicesMissed = 0;

  /** In restic's order: the owner first, as a change of it clears set-id bits and capabilities; times; then the mode. */
  apply(path: Buffer, metadata: EntryMetadata, options: { readonly replaceXattrs?: boolean } = {}): void {
    const owned = this.#setOwner(path, metadata);
    if (options.replaceXattrs === true) {
      const wanted = new Set((metadata.xattrs ?? []).map(({ name }) => name));
      for (const { name } of readXattrs(path)) if (!wanted.has(name)) removeXattr(path, name);
    }
    for (const attribute of metadata.xattrs ?? []) {
      try {
        writeXattr(path, attribute);
      } catch (error) {
        const code = systemErrorCode(error);
        if (code !== "EPERM" && code !== "EACCES" && code !== "ENOTSUP" && code !== "EINVAL") throw error;
        this.#attributesMissed.set(attribute.name, (this.#attributesMissed.get(attribute.name) ?? 0) + 1);
      }
    }
    if (metadata.type !== "symlink") {
      // A program must not run with the rights of whoever restores it.
      chmodSync(path, owned ? metadata.mode : metadata.mode & ~setIdBits);
    }
    setModificationTime(path, metadata.mtimeNs);
  }

  #setOwner(path: Buffer, metadata: EntryMetadata): boolean {
    try {
      lchownSync(path, metadata.uid, metadata.gid);
      return true;
    } catch (error) {
      const code = systemErrorCode(error);
      // EINVAL: a number that this user namespace does not map.
      if (code !== "EPERM" && code !== "EINVAL") throw error;
      this.missOwner();
      return false;
    }
  }

  /** An owner that only root may set. */
  missOwner(): void {
    this.#ownersMissed += 1;
  }

  /** A device that only root may make. */
  missDevice(): void {
    this.#devicesMissed += 1;
  }

  /** One warning for each kind of thing that could not be set, however many entries it concerns. */
  warn(warn: (warning: Warning) => void): void {
    if (this.#ownersMissed > 0) {
      warn({
        kind: "privilege-missing",
        message: `The owners of ${this.#ownersMissed} entries could not be set, as only root may; they belong to the user that restored them.`,
        facts: { entries: this.#ownersMissed },
      });
    }
    if (this.#devicesMissed > 0) {
      warn({
        kind: "privilege-missing",
        message: `${this.#devicesMissed} devices could not be made, as only root may.`,
        facts: { entries: this.#devicesMissed },
      });
    }
    for (const [name, count] of this.#attributesMissed) {
      warn({
        kind: "attribute-not-set",
        message: `The extended attribute ${name} could not be set on ${count} entries: the file system or the user's rights do not allow it.`,
        facts: { attribute: name, entries: count },
      });
    }
  }
}

/** The error for a disk without room, before or while something is written to it. */
export function targetFull(path: Buffer, neededBytes: number | undefined, cause?: unknown): HoldfastError {
  const needed = neededBytes === undefined ? "" : `; ${formatBytes(neededBytes)} are needed`;
  return new HoldfastError("TARGET_FULL", `The disk of ${path.toString()} has no room left${needed}.`, {
    facts: { path: path.toString(), neededBytes: neededBytes ?? null },
    remedy: "Make room on that disk and restore again; nothing was changed.",
    cause,
  });
}
