import { readFileSync } from "node:fs";

/** The mount points that this process sees, as latin1 text of their absolute paths (proc_pid_mountinfo(5)). */
export function mountPoints(): readonly string[] {
  return readFileSync("/proc/self/mountinfo", "latin1")
    .split("\n")
    .map((line) => line.split(" ")[4])
    .filter((path): path is string => path !== undefined && path !== "")
    .map((path) => path.replace(/\\([0-7]{3})/g, (_whole, octal: string) => String.fromCharCode(parseInt(octal, 8))));
}

/** File systems whose changes made elsewhere inotify does not see, by the type of statfs(2). */
const remoteTypes = new Set([
  0x6969, // NFS
  0x517b, // SMB
  0xff534d42, // CIFS
  0xfe534d42, // SMB2
  0x65735546, // FUSE
  0x01021997, // 9P
  0x00c36400, // Ceph
  0x7461636f, // OCFS2
  0x01161970, // GFS2
  0x0bd00bd0, // Lustre
]);

export const isRemoteFileSystem = (type: number): boolean => remoteTypes.has(type >>> 0);

/** File systems on which copies share their blocks: btrfs, XFS, bcachefs, ZFS. */
const sharingTypes = new Set([0x9123683e, 0x58465342, 0xca451a4e, 0x2fc12fc1]);

export const sharesBlocks = (type: number): boolean => sharingTypes.has(type >>> 0);
