import { TreeTarget, type TreeTargetOptions } from "../filetree/index.ts";
import { apartPaths, gitFolder } from "./apart-paths.ts";

export interface CodeTargetOptions extends Omit<TreeTargetOptions, "apart" | "restoredBeside"> {
  /** Absolute paths of mounts and of services' files; those in the code's folder stay as they are. */
  readonly mounts?: readonly string[];
}

/** The deployed code, as a restore sees it. ".git" and what is mounted in the folder are never touched. */
export class CodeTarget extends TreeTarget {
  constructor(options: CodeTargetOptions) {
    const { mounts, ...rest } = options;
    const apart = apartPaths(options.root, mounts ?? []);
    super({ ...rest, apart, restoredBeside: apart.filter((path) => path !== gitFolder) });
  }
}
