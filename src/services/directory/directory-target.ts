import type { SourceId } from "../../base/index.ts";
import { TreeTarget } from "../../filetree/index.ts";
import type { DirectoryConfig } from "./directory-config.ts";

/**
 * A data folder, as a restore sees it: exchanged as a whole. A service that keeps files of it open must be stopped and
 * started by the hooks `beforeRestore` and `afterRestore`; freeze and thaw commands may block renames, so they do not run.
 */
export class DirectoryTarget extends TreeTarget {
  /** @param apart paths in the folder that are components of their own: they stay as they are */
  constructor(id: SourceId, config: DirectoryConfig, apart: readonly string[] = []) {
    super({ id, root: config.path, apart });
  }
}
