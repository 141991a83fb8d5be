import type { SourceId } from "../base/index.ts";
import { type PathFilterOptions, TreeSource } from "../filetree/index.ts";

export interface MountSourceOptions extends PathFilterOptions {
  /** "mount:app/media". */
  readonly id: SourceId;
  /** Absolute path of the mount's folder. */
  readonly root: string;
}

/** A writable folder of an application. */
export class MountSource extends TreeSource {
  constructor(options: MountSourceOptions) {
    super({ ...options, kind: "mount", unusable: "MOUNT_UNUSABLE" });
  }
}
