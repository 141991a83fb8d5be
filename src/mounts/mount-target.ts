import { TreeTarget, type TreeTargetOptions } from "../filetree/index.ts";

export type MountTargetOptions = Omit<TreeTargetOptions, "restoredBeside">;

/** A writable folder of an application, as a restore sees it. */
export class MountTarget extends TreeTarget {
  constructor(options: MountTargetOptions) {
    super({ ...options, restoredBeside: options.apart ?? [] });
  }
}
