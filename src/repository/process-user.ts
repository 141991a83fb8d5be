import { type UserInfo, userInfo } from "node:os";

/** Who this process runs as, for keys, locks and snapshots. One that the system has no name for, as in a container, is its number. */
export function processUser(): Pick<UserInfo<string>, "username" | "uid" | "gid"> {
  try {
    return userInfo();
  } catch (error) {
    if (!isUnknown(error)) throw error;
    const uid = process.getuid?.() ?? 0;
    return { username: String(uid), uid, gid: process.getgid?.() ?? 0 };
  }
}

/** Node's SystemError keeps the system's own code in `info`. */
const isUnknown = (error: unknown): boolean =>
  error instanceof Error && "info" in error && (error.info as { readonly code?: unknown }).code === "ENOENT";
