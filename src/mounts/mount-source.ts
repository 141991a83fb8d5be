import { TreeSource, type TreeSourceOptions } from "../filetree/index.ts";

export type MountSourceOptions = Omit<TreeSourceOptions, "kind" | "unusable">;

/** A writable folder of an application, as a backup sees it. */
export class MountSource extends TreeSource {
  constructor(options: MountSourceOptions) {
    super({ ...options, kind: "mount", unusable: "MOUNT_UNUSABLE" });
  }
}
