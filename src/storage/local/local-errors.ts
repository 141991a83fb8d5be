import { type ErrorCode, HoldfastError, messageOf, systemErrorCode } from "../../base/index.ts";

const codes: Readonly<Record<string, ErrorCode>> = {
  ENOENT: "STORAGE_NOT_FOUND",
  EACCES: "STORAGE_DENIED",
  EPERM: "STORAGE_DENIED",
  EROFS: "STORAGE_DENIED",
  ENOTDIR: "STORAGE_DENIED",
  EISDIR: "STORAGE_DENIED",
  ELOOP: "STORAGE_DENIED",
  ENAMETOOLONG: "STORAGE_DENIED",
  EEXIST: "STORAGE_EXISTS",
  ENOSPC: "STORAGE_FULL",
  EDQUOT: "STORAGE_FULL",
  EFBIG: "STORAGE_FULL",
};

const remedies: Readonly<Partial<Record<ErrorCode, string>>> = {
  STORAGE_DENIED: "Check who owns the repository's folder and what this user may do there.",
  STORAGE_FULL: "Make room on the file system of the repository, or prune it.",
};

/** A system error of the local file system as the error of a backend; anything else comes back as it is. */
export function storageError(error: unknown, doing: string, location: string): unknown {
  const system = systemErrorCode(error);
  if (system === undefined || !/^E[A-Z0-9]+$/.test(system)) return error;
  const code = codes[system] ?? "STORAGE_TRANSIENT";
  const remedy = remedies[code];
  return new HoldfastError(code, `Failed ${doing} at ${location}: ${messageOf(error)}.`, {
    facts: { location, system },
    ...(remedy === undefined ? {} : { remedy }),
    cause: error,
  });
}
