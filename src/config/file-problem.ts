import { messageOf, systemErrorCode } from "../base/index.ts";

const words: Readonly<Record<string, string>> = {
  EACCES: "this user may not do that",
  EEXIST: "something of that name is there already",
  EISDIR: "it is a folder",
  ELOOP: "its links lead in a circle",
  ENAMETOOLONG: "the name is too long",
  ENOENT: "it does not exist",
  ENOSPC: "the disk has no room left",
  ENOTDIR: "a part of its path is a file, not a folder",
  EPERM: "this user may not do that",
  EROFS: "the file system is read-only",
};

/** Why the system refused a file or folder, in plain words and without a full stop; what is rare as the system says it. */
export function fileProblem(error: unknown): string {
  return words[systemErrorCode(error) ?? ""] ?? messageOf(error).replace(/\.$/, "");
}
