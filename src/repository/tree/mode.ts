import type { EntryType } from "../../component/index.ts";

// Go's os.FileMode: permissions as in st_mode, everything else in its own bits.

const setuid = 0o4000;
const setgid = 0o2000;
const sticky = 0o1000;

const typeBits: Readonly<Record<EntryType, number>> = {
  file: 0,
  dir: 2 ** 31,
  symlink: 2 ** 27,
  dev: 2 ** 26,
  chardev: 2 ** 26 + 2 ** 21,
  fifo: 2 ** 25,
  socket: 2 ** 24,
};

/** Go's mode of an entry whose permission, setuid, setgid and sticky bits are `mode` (0 to 0o7777). */
export function goMode(type: EntryType, mode: number): number {
  return (
    typeBits[type] +
    (mode & 0o777) +
    ((mode & setuid) === 0 ? 0 : 2 ** 23) +
    ((mode & setgid) === 0 ? 0 : 2 ** 22) +
    ((mode & sticky) === 0 ? 0 : 2 ** 20)
  );
}

/** Permission, setuid, setgid and sticky bits of Go's mode. */
export function unixMode(goBits: number): number {
  return (
    (goBits & 0o777) |
    ((goBits & (1 << 23)) === 0 ? 0 : setuid) |
    ((goBits & (1 << 22)) === 0 ? 0 : setgid) |
    ((goBits & (1 << 20)) === 0 ? 0 : sticky)
  );
}
