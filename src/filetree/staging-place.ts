import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { base32, HoldfastError, type OperationId, systemErrorCode } from "../base/index.ts";
import { assertMayChange } from "./posix/files.ts";
import { mountPoints } from "./posix/mount-points.ts";

/** Where a restore puts what it stages, and the tree that it will be exchanged with. Paths are absolute, without links. */
export interface StagingPlace {
  readonly root: string;
  /** The new tree until the swap, the old one after it. */
  readonly staged: string;
  /** `staged` gets this name in one step before it is removed, so that half a tree is never taken for a whole one. */
  readonly discarded: string;
  /** Where a live entry waits while two renames do the work of an exchange. */
  readonly aside: string;
  /** The staged tree is in the root itself, as the root cannot be renamed: it is a mount point, or its parent is closed. */
  readonly inside: boolean;
}

/** @throws HoldfastError SERVICE_STAGE_FAILED, system errors */
export function stagingPlace(
  configured: string,
  operationId: OperationId,
  options: { readonly forceInside?: boolean } = {},
): StagingPlace {
  const root = resolveRoot(configured);
  const inside = options.forceInside === true || !canRename(root);
  const folder = inside ? root : dirname(root);
  const mark = base32(createHash("sha256").update(root).digest()).slice(0, 8);
  const name = (suffix: string): string => join(folder, `.holdfast-${operationId}-${mark}-${suffix}`);
  return { root, staged: name("new"), discarded: name("old"), aside: name("tmp"), inside };
}

function resolveRoot(configured: string): string {
  try {
    return realpathSync(configured);
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw error;
  }
  if (lstatSync(configured, { throwIfNoEntry: false }) !== undefined) {
    throw new HoldfastError("SERVICE_STAGE_FAILED", `${configured} is a link to a folder that does not exist.`, {
      facts: { path: configured },
      remedy: "Create the folder that it points to, or remove the link.",
    });
  }
  // A folder that was lost comes back, with those above it.
  mkdirSync(dirname(configured), { recursive: true });
  return join(realpathSync(dirname(configured)), basename(configured));
}

function canRename(root: string): boolean {
  const parent = dirname(root);
  const found = lstatSync(root, { throwIfNoEntry: false });
  if (found !== undefined) {
    if (parent === root || found.dev !== lstatSync(parent).dev) return false;
    if (mountPoints().includes(Buffer.from(root).toString("latin1"))) return false;
  }
  try {
    assertMayChange(Buffer.from(parent));
    return true;
  } catch (error) {
    const code = systemErrorCode(error);
    if ((code === "EACCES" || code === "EROFS" || code === "EPERM") && found !== undefined) return false;
    throw error;
  }
}

/** Mount points below a folder: paths below it, as latin1 text. */
export function mountsBelow(root: string): string[] {
  const prefix = `${Buffer.from(root).toString("latin1").replace(/\/$/, "")}/`;
  return mountPoints()
    .filter((path) => path.startsWith(prefix))
    .map((path) => path.slice(prefix.length));
}
