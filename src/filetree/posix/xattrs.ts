import type { ExtendedAttribute } from "../../component/index.ts";
import { cPath, lastErrorCode, libc, systemError } from "./libc.ts";

const listBuffer = Buffer.alloc(4096);
const none: readonly ExtendedAttribute[] = [];

/**
 * The extended attributes of a file, directory or link (a link is not followed), by name; ACLs are among them. None where
 * the file system knows none. @throws a system error: ENOENT, EACCES, EIO
 */
export function readXattrs(path: Buffer): readonly ExtendedAttribute[] {
  const zeroEnded = cPath(path);
  let names = listBuffer;
  let length = libc.listXattr(zeroEnded, names, names.length);
  if (length === 0) return none;
  while (length < 0) {
    const code = lastErrorCode();
    if (code === "ENOTSUP" || code === "EOPNOTSUPP") return none;
    if (code !== "ERANGE") throw systemError(code, "llistxattr", path);
    names = Buffer.alloc(Math.max(65_536, names.length * 2));
    length = libc.listXattr(zeroEnded, names, names.length);
  }
  const attributes: ExtendedAttribute[] = [];
  for (let start = 0; start < length;) {
    const end = names.indexOf(0, start);
    const name = names.toString("utf8", start, end);
    const value = readXattr(path, zeroEnded, name);
    if (value !== undefined) attributes.push({ name, value });
    start = end + 1;
  }
  return attributes.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function readXattr(path: Buffer, zeroEnded: Buffer, name: string): Buffer | undefined {
  const zeroEndedName = cPath(Buffer.from(name));
  let value = Buffer.alloc(1024);
  for (;;) {
    const length = libc.getXattr(zeroEnded, zeroEndedName, value, value.length);
    if (length >= 0) return value.subarray(0, length);
    const code = lastErrorCode();
    // Removed between the list and this call.
    if (code === "ENODATA") return undefined;
    if (code !== "ERANGE") throw systemError(code, "lgetxattr", path);
    value = Buffer.alloc(value.length * 64);
  }
}

/** Sets one attribute. @throws a system error: EPERM, ENOTSUP, ENOSPC */
export function writeXattr(path: Buffer, attribute: ExtendedAttribute): void {
  const value = Buffer.from(attribute.value);
  const name = cPath(Buffer.from(attribute.name));
  // An empty Buffer has no address to pass.
  const bytes = value.length === 0 ? Buffer.alloc(1) : value;
  if (libc.setXattr(cPath(path), name, bytes, value.length, 0) < 0) {
    throw systemError(lastErrorCode(), "lsetxattr", path);
  }
}

/** Removes one attribute; gone already is fine. */
export function removeXattr(path: Buffer, name: string): void {
  if (libc.removeXattr(cPath(path), cPath(Buffer.from(name))) < 0) {
    const code = lastErrorCode();
    if (code !== "ENODATA" && code !== "ENOTSUP") throw systemError(code, "lremovexattr", path);
  }
}
