import type { SourceId } from "../base/index.ts";
import { describeComponent } from "../component/conformance/index.ts";
import { folderFactory } from "../filetree/conformance/index.ts";
import { MountSource, MountTarget } from "./index.ts";

const id = "mount:app/media" as SourceId;

function mountFactory(options: { inside: boolean; watch: "auto" | "never" }) {
  return folderFactory({
    source: (root) => new MountSource({ id, root, watch: options.watch }),
    target: (root) => new MountTarget({ id, root, ...(options.inside ? { forceInside: true } : {}) }),
    rootStays: options.inside,
  });
}

describeComponent("a mount that can be renamed", mountFactory({ inside: false, watch: "auto" }));
describeComponent("a mount that cannot be renamed", mountFactory({ inside: true, watch: "auto" }));
describeComponent("a mount that cannot be watched", mountFactory({ inside: false, watch: "never" }));
