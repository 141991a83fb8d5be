import { readFileSync } from "node:fs";
import { systemErrorCode } from "../../base/index.ts";

/** Names of users and groups by number, from /etc/passwd and /etc/group, read once for each instance. */
export class OwnerNames {
  readonly #users = readNames("/etc/passwd");
  readonly #groups = readNames("/etc/group");

  user(uid: number): string | undefined {
    return this.#users.get(uid);
  }

  group(gid: number): string | undefined {
    return this.#groups.get(gid);
  }
}

function readNames(path: string): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    // Containers without a user database: owners are numbers there.
    if (systemErrorCode(error) === "ENOENT") return names;
    throw error;
  }
  for (const line of text.split("\n")) {
    const [name, , id] = line.split(":");
    if (name !== undefined && name !== "" && id !== undefined && /^\d+$/.test(id) && !names.has(Number(id))) {
      names.set(Number(id), name);
    }
  }
  return names;
}
